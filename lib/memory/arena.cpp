/// Aligned zeroed memory of the host, and pieces of it in the order in which they are asked for.
#include "partita/memory/arena.hpp"

#include "partita/base/error.hpp"
#include "partita/kernels/host_pages.hpp"

namespace partita::memory {

using kernels::Bytes;
using kernels::DataType;
using kernels::Elements;
using kernels::View;

HostBuffer::HostBuffer(Bytes bytes) : size_(static_cast<std::size_t>(bytes.value())) {
  data_.reset(kernels::allocate_host_pages(bytes));
}

void HostBuffer::Free::operator()(std::byte* data) const noexcept { kernels::release_host_pages(data); }

View HostBuffer::view(DataType type, Elements n) const {
  base::expect(bytes_of(type, n).value() <= static_cast<std::int64_t>(size_), "a view lies inside its buffer",
               n);
  return {data_.get(), type, n};
}

View Arena::allocate(DataType type, Elements n) {
  const Bytes begin = used_;
  used_ += padded(bytes_of(type, n));
  base::expect(used_.value() <= static_cast<std::int64_t>(storage_.size()), "an arena holds what was planned",
               used_, storage_.size());
  return {storage_.data() + begin.value(), type, n};
}

}  // namespace partita::memory
