/// Shared-memory windows: one segment a rank, visible to all ranks of the node.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "state.hpp"

namespace partita::comm {

std::unique_ptr<Region> Communicator::State::allocate(std::size_t bytes) {
  auto region = std::make_unique<Region>();
  region->bytes = bytes;
  const bool is_shared =
      share(*region, SharedMemory::File::unnamed) || share(*region, SharedMemory::File::named);
  if (!is_shared)
    throw base::EnvironmentError("mmap", ENOMEM,
                                 "a node's ranks cannot share " + std::to_string(bytes) + " bytes each");
  std::memset(region->mine, 0, bytes);
  node_barrier();  // nobody uses a segment before its owner has touched it
  region->before_release = [this] { node_barrier(Shown::release); };
  return region;
}

bool Communicator::State::share(Region& region, SharedMemory::File kind) {
  SharedMemory mine(kind, std::max<std::size_t>(region.bytes, 1));
  std::vector<SharedMemory::Address> addresses(static_cast<std::size_t>(local_size));
  const auto own = mine.address();
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallgather(&own, sizeof own, MPI_BYTE, addresses.data(), sizeof own, MPI_BYTE, node.get(),
                       &request),
        "MPI_Iallgather");
  wait_for_node(request);
  region.memory.clear();
  region.segments.assign(static_cast<std::size_t>(size), nullptr);
  int is_whole = 1;
  for (int r = 0, local = 0; r < size; ++r) {
    if (node_of[static_cast<std::size_t>(r)] != node_of[static_cast<std::size_t>(rank)]) continue;
    const auto& address = addresses[static_cast<std::size_t>(local++)];
    region.memory.push_back(r == rank ? std::move(mine) : SharedMemory(address));
    const auto segment = region.memory.back().bytes();
    region.segments[static_cast<std::size_t>(r)] = segment.data();
    if (segment.empty()) is_whole = 0;
  }
  region.mine = region.segments[static_cast<std::size_t>(rank)];
  check(MPI_Iallreduce(MPI_IN_PLACE, &is_whole, 1, MPI_INT, MPI_MIN, node.get(), &request), "MPI_Iallreduce");
  wait_for_node(request);
  for (auto& segment : region.memory)
    segment.hide();
  return is_whole != 0;
}

Region::~Region() {
  if (!before_release || std::uncaught_exceptions() > 0) return;
  try {
    before_release();
  } catch (const std::exception& error) {
    end_job(error);
  }
}

void Communicator::State::node_barrier(std::uint8_t operation) {
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ibarrier(node.get(), &request), "MPI_Ibarrier");
  wait_for_node(request, operation);
}

void Communicator::State::wait_for_node(MPI_Request& request, std::uint8_t operation) {
  Shown shown{.group = node_group.id,
              .operation = operation,
              .axis = static_cast<std::uint8_t>(axis),
              .purpose = static_cast<std::uint8_t>(collective::Purpose::control)};
  runtime->watch->started(node_group, shown);
  wait_for(*runtime, shown, request);
}

Lease Communicator::State::lease(std::size_t bytes) {
  constexpr std::size_t page = 4096, smallest_pool = 4 << 20;
  bytes = (bytes + page - 1) / page * page;
  if (pool && pool.use_count() == 1) pool_used = 0;  // no plan holds a part any more
  if (!pool || pool_used + bytes > pool->bytes) {
    pool = allocate(std::max(bytes, smallest_pool));
    pool_used = 0;
  }
  Lease lease{.region = pool, .offset = pool_used};
  pool_used += bytes;
  node_barrier();  // a peer may still look at a flag of the plan that was here before
  std::memset(pool->mine + lease.offset, 0, bytes);
  node_barrier();
  return lease;
}

const Region* Communicator::State::region_of(const void* data) const {
  const auto* address = static_cast<const std::byte*>(data);
  for (const auto* region : regions)
    if (address >= region->mine && address < region->mine + region->bytes) return region;
  return nullptr;
}

SharedBuffer::SharedBuffer() = default;
SharedBuffer::~SharedBuffer() {
  if (state_) std::erase(state_->communicator->regions, state_->region.get());
}
SharedBuffer::SharedBuffer(SharedBuffer&&) noexcept = default;
SharedBuffer& SharedBuffer::operator=(SharedBuffer&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

View SharedBuffer::view(DataType type, Elements n) const {
  base::expect(state_ && bytes_of(type, n).value() <= static_cast<std::int64_t>(state_->region->bytes),
               "a view lies inside its shared buffer", n);
  return {state_->region->mine, type, n};
}

SharedBuffer Communicator::allocate_shared(Bytes bytes) const {
  base::expect(bytes.value() >= 0, "a size is not negative", bytes);
  SharedBuffer buffer;
  buffer.state_ = std::make_unique<SharedBuffer::State>();
  buffer.state_->communicator = state_;
  buffer.state_->region = state_->allocate(static_cast<std::size_t>(bytes.value()));
  state_->regions.push_back(buffer.state_->region.get());
  return buffer;
}

}  // namespace partita::comm
