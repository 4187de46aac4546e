/// A buffer on a device, and how its content reaches other ranks: through an image on the host, by messages
/// from the device's memory, or by loads from it where ranks of a node reach each other's memory.
#pragma once

#include <span>
#include <string>

#include "partita/collective/rounds.hpp"
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

/// A buffer that other ranks of the node reach: no message carries its content, ranks load from and store
/// into each other's. `host` is the buffer itself, which the host does not touch.
class SharedMirror : public Mirror {
 public:
  /// A stretch of a rank's buffer (this one's own among them) that begins with element `first`.
  struct Source {
    int rank = 0;
    std::int64_t first = 0;
  };
  /// When planned: what another rank needs to reach this buffer; empty where it holds nothing.
  [[nodiscard]] virtual std::string address() const = 0;
  /// When planned: what is loaded from and stored into at `rank`. May block shortly.
  virtual void open(int rank, const std::string& address) = 0;
  /// Issues: `range` of this buffer becomes the sources, combined in their order. No other source overlaps
  /// it.
  virtual void load(topology::Range range, std::span<const Source> sources, collective::Combine) = 0;
  /// Issues, behind all loads: `range` of this buffer goes to the same place of another rank's.
  virtual void store_to(int rank, topology::Range range) = 0;
  /// Whether the device has done all loads and stores.
  [[nodiscard]] virtual bool moved() = 0;
};

/// Where an operation's data lie: memory of the host's, or a device's with its mirror.
struct Buffer {
  // NOLINTNEXTLINE(google-explicit-constructor): a view of host memory is a buffer
  Buffer(kernels::View host_memory) : view(host_memory) {}
  template <class T, std::size_t Extent>
  Buffer(std::span<T, Extent> values) : view(values) {}
  explicit Buffer(Mirror& of_device) : view(of_device.host()), mirror(&of_device) {}
  explicit Buffer(SharedMirror& reached) : view(reached.host()), mirror(&reached), shared(&reached) {}

  kernels::View view;  ///< on the host; of the device where `shared`, or where messages leave its memory
  Mirror* mirror = nullptr;
  SharedMirror* shared = nullptr;  ///< where ranks of the node reach it
};

}  // namespace partita::comm
