/// Copies, fills, host functions and kernels as work of streams.
#include <cstring>

#include "machine.hpp"
#include "runtime.hpp"

namespace cuda_on_host {
namespace {

/// What a range of memory is to a copy.
struct Side {
  bool whole = true;  ///< does not reach over the end of its allocation
  bool on_device = false, pageable = true;
};

Side side(const void* pointer, std::size_t bytes) {
  const Allocation* const a = allocation_of(pointer);
  if (!a) return {};
  const auto offset = static_cast<const std::byte*>(pointer) - a->data;
  return {.whole = static_cast<std::size_t>(offset) + bytes <= a->bytes,
          .on_device = a->on_device(),
          .pageable = false};
}

bool fits(cudaMemcpyKind kind, const Side& to, const Side& from) {
  if (!to.whole || !from.whole) return false;
  if (kind == cudaMemcpyDefault) return true;
  return to.on_device == (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice) &&
         from.on_device == (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice);
}

bool overlap(const void* a, const void* b, std::size_t bytes) {
  const auto x = reinterpret_cast<std::uintptr_t>(a), y = reinterpret_cast<std::uintptr_t>(b);
  return x < y + bytes && y < x + bytes;
}

cudaError_t copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, Stream& stream) {
  if (bytes == 0) return cudaSuccess;
  const Side target = side(to, bytes), source = side(from, bytes);
  if (!fits(kind, target, source)) return cudaErrorInvalidValue;
  if (overlap(to, from, bytes)) throw Fault("a copy between overlapping ranges");
  ++machine().counts.copies;
  if (source.pageable && !stream.capture) {
    // The driver copies such memory to memory of its own before it returns.
    auto held = std::make_shared<std::vector<std::byte>>(bytes);
    std::memcpy(held->data(), from, bytes);
    const auto error = issue(stream, [to, held] { std::memcpy(to, held->data(), held->size()); });
    if (error == cudaSuccess && !target.on_device) force(stream.tail);
    return error;
  }
  const auto error = issue(stream, [to, from, bytes] { std::memcpy(to, from, bytes); });
  if (error == cudaSuccess && target.pageable && !stream.capture) force(stream.tail);
  return error;
}

}  // namespace

cudaError_t issue_kernel(const cudaLaunchConfig_t& c, const void* kernel, std::function<void()> body) {
  return api([&] {
    const Runtime& r = runtime();
    Launch launch{.grid = c.gridDim,
                  .block = c.blockDim,
                  .cluster = 1,
                  .shared_bytes = c.dynamicSmemBytes,
                  .body = std::move(body),
                  .name = describe_kernel(kernel)};
    for (unsigned i = 0; i < c.numAttrs; ++i)
      if (c.attrs[i].id == cudaLaunchAttributeClusterDimension) {
        const auto d = c.attrs[i].val.clusterDim;
        if (d.x == 0 || d.y != 1 || d.z != 1 || d.x > 8 || r.major < 9) return cudaErrorInvalidConfiguration;
        launch.cluster = d.x;
      }
    const auto found = r.shared_bytes_allowed.find(kernel);
    const std::size_t allowed = found == r.shared_bytes_allowed.end() ? 48 * 1024 : found->second;
    const std::uint64_t threads = std::uint64_t{c.blockDim.x} * c.blockDim.y * c.blockDim.z;
    const bool grid_fits = c.gridDim.x >= 1 && c.gridDim.y >= 1 && c.gridDim.z >= 1 &&
                           c.gridDim.x < 1U << 31 && c.gridDim.y < 1U << 16 && c.gridDim.z < 1U << 16;
    if (!grid_fits || threads == 0 || threads > 1024 || c.blockDim.z > 64 ||
        c.gridDim.x % launch.cluster != 0)
      return cudaErrorInvalidConfiguration;
    if (launch.shared_bytes > allowed) return cudaErrorInvalidValue;
    return issue(stream_of(c.stream), [launch] { execute(launch); });
  });
}

}  // namespace cuda_on_host

using namespace cuda_on_host;

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return api([&] { return copy(to, from, bytes, kind, stream_of(stream)); });
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return api([&] {
    if (is_capturing()) return cudaErrorStreamCaptureImplicit;
    const auto error = copy(to, from, bytes, kind, runtime().legacy);
    if (error == cudaSuccess) force(runtime().legacy.tail);
    return error;
  });
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t pitch_to, const void* from, std::size_t pitch_from,
                              std::size_t width, std::size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  return api([&] {
    if (width > pitch_to || width > pitch_from) return cudaErrorInvalidValue;
    for (std::size_t i = 0; i < height; ++i)
      if (const auto error =
              copy(static_cast<std::byte*>(to) + i * pitch_to,
                   static_cast<const std::byte*>(from) + i * pitch_from, width, kind, stream_of(stream));
          error != cudaSuccess)
        return error;
    return cudaSuccess;
  });
}

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  return api([&] {
    if (bytes == 0) return cudaSuccess;
    const Side target = side(memory, bytes);
    if (!target.whole || target.pageable) return cudaErrorInvalidValue;
    return issue(stream_of(stream), [memory, value, bytes] { std::memset(memory, value, bytes); });
  });
}
cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  return cudaMemsetAsync(memory, value, bytes);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return api([&] { return issue(stream_of(stream), [function, data] { function(data); }); });
}
