/// Shared-memory windows: one segment a rank, visible to all ranks of the node.
#include <algorithm>
#include <cstring>

#include "blocking.hpp"
#include "state.hpp"

namespace partita::comm {

std::unique_ptr<Region> Communicator::State::allocate(std::size_t bytes) {
  node_barrier();  // who is late is missed there and not inside MPI, which blocks
  auto region = std::make_unique<Region>();
  region->bytes = bytes;
  MPI_Info info = MPI_INFO_NULL;
  check(MPI_Info_create(&info), "MPI_Info_create");
  check(MPI_Info_set(info, "alloc_shared_noncontig", "true"), "MPI_Info_set");
  void* mine = nullptr;
  MPI_Win window = MPI_WIN_NULL;
  int code = MPI_SUCCESS;
  {
    const YieldsNowAndThen yields(runtime->shares_cores);
    code = MPI_Win_allocate_shared(static_cast<MPI_Aint>(std::max<std::size_t>(bytes, 64)), 1, info,
                                   node.get(), &mine, &window);
  }
  MPI_Info_free(&info);
  check(code, "MPI_Win_allocate_shared");
  region->window = WindowHandle(window);
  region->containment = runtime->containment.get();
  if (region->containment != nullptr) region->containment->windows.push_back(window);
  region->mine = static_cast<std::byte*>(mine);
  std::memset(mine, 0, std::max<std::size_t>(bytes, 64));
  region->segments.assign(static_cast<std::size_t>(size), nullptr);
  int local = 0;
  for (int r = 0; r < size; ++r) {
    if (node_of[static_cast<std::size_t>(r)] != node_of[static_cast<std::size_t>(rank)]) continue;
    MPI_Aint segment_bytes = 0;
    int unit = 0;
    void* base = nullptr;
    check(MPI_Win_shared_query(window, local++, &segment_bytes, &unit, &base), "MPI_Win_shared_query");
    region->segments[static_cast<std::size_t>(r)] = static_cast<std::byte*>(base);
  }
  node_barrier();  // nobody uses a segment before its owner has cleared it
  region->before_release = [this] { node_barrier(Shown::release); };
  return region;
}

Region::~Region() {
  if (containment != nullptr && std::uncaught_exceptions() == 0)
    std::erase(containment->windows, window.get());
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
