#include "ptx/cluster.hpp"

#include "machine.hpp"

namespace cuda_on_host {

unsigned cluster_rank() { return this_thread().block->rank; }

Block& block_of_cluster(unsigned rank) {
  Machine& m = machine();
  if (rank >= m.blocks.size()) fault("there is no block " + std::to_string(rank) + " in the cluster");
  return m.blocks[rank];
}

void* in_block(const void* pointer, Block& other) {
  if (&other != this_thread().block && other.live == 0)
    fault("shared memory of a block of the cluster that has ended was used");
  return other.window + (shared_address(pointer) - window_begin);
}

void cluster_arrive() {
  Thread& thread = this_thread();
  if (thread.cluster_arrived) fault("arrived twice at the cluster's barrier");
  thread.cluster_arrived = true;
  thread.cluster_phase = machine().cluster_phase;
  ++machine().cluster_arrived;
  settle_cluster_barrier();
}

void cluster_wait() {
  Thread& thread = this_thread();
  Machine& m = machine();
  if (!thread.cluster_arrived) fault("waits at the cluster's barrier without having arrived");
  while (m.cluster_phase == thread.cluster_phase) {
    m.cluster_waiting.push_back(&thread);
    block_on("the cluster's barrier");
  }
  thread.cluster_arrived = false;
}

void settle_cluster_barrier() {
  Machine& m = machine();
  if (m.cluster_arrived == 0 || m.cluster_arrived < m.live) return;
  ++m.cluster_phase;
  m.cluster_arrived = 0;
  make_ready(m.cluster_waiting);
}

}  // namespace cuda_on_host
