/// Tags that both ends compute alike, from direction, boundary between chunks and micro-batch. Keeps which
/// receives are posted and which sends have not been waited for yet.
#include "messages.hpp"

namespace partita::step {

using collective::Operation;
using collective::Purpose;

/// Values cross boundary k from chunk k to chunk k + 1, gradients back.
TransferId Messages::add_message(Operation operation, Way way, ChunkId chunk, MicrobatchId microbatch,
                                 SlotId slot) {
  const bool forward = way == Way::forward;
  const bool downstream = (operation == Operation::send) == forward;
  const int boundary = a_.global_chunk(chunk) - (downstream ? 0 : 1);
  const int stages = a_.stages(), step = downstream ? 1 : stages - 1;
  return a_.add_transfer({.operation = operation,
                          .axis = topology::Axis::pipeline,
                          .purpose = forward ? Purpose::activation : Purpose::activation_gradient,
                          .microbatch = microbatch,
                          .slot = slot,
                          .peer = (a_.program.at.pipeline + step) % stages,
                          .tag = ((forward ? 0 : a_.chunks_of_model()) + boundary) * a_.program.microbatches +
                                 microbatch.value()});
}

bool Messages::receives(const Action& action) const {
  if (a_.stages() == 1 || action.pass == Pass::backward_weight) return false;
  return action.pass == Pass::forward ? !a_.is_first(action.chunk) : !a_.is_last(action.chunk);
}

void Messages::post_receive(const Action& action) {
  const std::tuple key{way_of(action), action.chunk, action.microbatch};
  if (!receives(action) || posted_.contains(key)) return;
  const SlotId slot = action.pass == Pass::forward
                          ? a_.received_value.at({action.chunk, action.microbatch})
                          : *a_.slots(a_.last_unit(action.chunk), action.microbatch).dy;
  const auto id = add_message(Operation::receive, way_of(action), action.chunk, action.microbatch, slot);
  posted_[key] = id;
  a_.start(id);
}

void Messages::wait_received(const Action& action) {
  if (receives(action)) a_.wait(posted_.at({way_of(action), action.chunk, action.microbatch}));
}

void Messages::send(Way way, ChunkId chunk, MicrobatchId microbatch, SlotId slot) {
  if (a_.stages() == 1) return;
  const auto id = add_message(Operation::send, way, chunk, microbatch, slot);
  a_.start(id);
  sends_[{way, chunk}].push_back({microbatch, id});
}

void Messages::wait_oldest(Sends& sends) {
  a_.wait(sends.front().transfer);
  sends.pop_front();
}

void Messages::wait_values_sent(ChunkId chunk, MicrobatchId microbatch) {
  auto& sends = sends_[{Way::forward, chunk}];
  while (!sends.empty() && sends.front().microbatch <= microbatch)
    wait_oldest(sends);
}

void Messages::free_a_buffer(Way way, ChunkId chunk) {
  auto& sends = sends_[{way, chunk}];
  while (sends.size() >= 2)
    wait_oldest(sends);
}

void Messages::wait_all_sent() {
  for (auto& [key, sends] : sends_)
    while (!sends.empty())
      wait_oldest(sends);
}

}  // namespace partita::step
