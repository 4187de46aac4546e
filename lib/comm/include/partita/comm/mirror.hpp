/// A buffer on a device, and its image on the host through which messages go.
#pragma once

#include <span>

#include "partita/kernels/view.hpp"
#include "partita/topology/cut.hpp"

namespace partita::comm {

/// Copies are issued to the device and done behind the work that it has by then; nothing here waits.
class Mirror {
 public:
  virtual ~Mirror() = default;
  /// The image: memory of the buffer's size and type that messages leave and reach.
  [[nodiscard]] virtual kernels::View host() const = 0;
  /// Whether ranges are copied between the two; else the image is the buffer itself.
  [[nodiscard]] virtual bool copies() const = 0;
  /// When planned: what each run brings to the host, in the order in which it is needed.
  virtual void plan_fetches(std::span<const topology::Range>) = 0;
  /// Begins a run: issues all fetches. The run touches the image once `idle`: earlier stores have left it.
  virtual void begin() = 0;
  [[nodiscard]] virtual bool idle() = 0;
  /// Whether the first `count` fetches of this run are done.
  [[nodiscard]] virtual bool fetched(std::size_t count) = 0;
  /// Issues the copy of a range of the image to the device.
  virtual void store(topology::Range) = 0;
  /// The program has come to its wait for this run; `caught_up` when the device has, too.
  virtual void await() = 0;
  [[nodiscard]] virtual bool caught_up() = 0;
  /// The run is complete: what the device is given from now on is done behind the stores.
  virtual void release() = 0;
};

/// Where an operation's data lie: memory of the host's, or a device's with its mirror.
struct Buffer {
  // NOLINTNEXTLINE(google-explicit-constructor): a view of host memory is a buffer
  Buffer(kernels::View host_memory) : view(host_memory) {}
  template <class T, std::size_t Extent>
  Buffer(std::span<T, Extent> values) : view(values) {}
  explicit Buffer(Mirror& of_device) : view(of_device.host()), mirror(&of_device) {}

  kernels::View view;  ///< on the host
  Mirror* mirror = nullptr;
};

}  // namespace partita::comm
