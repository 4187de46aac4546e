/// What a back-end computes on: its memory, the queues in which its work is done, and how to wait for them.
///
/// Work is *issued* to a queue and done there later, in the order of issue. A host does it at once, so that
/// all waiting is over before it begins; a program written for a device is right on a host too. Nothing here
/// knows of ranks: several processes may use one device.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

#include "partita/kernels/view.hpp"

namespace partita::kernels {

class Device {
 public:
  /// Kernels are issued to `compute`; copies to the host and back may go beside it.
  enum class Queue { compute, fetch, store };

  /// A point in a queue that can be waited for any number of times.
  class Event {
   public:
    virtual ~Event() = default;
  };
  /// Work of the compute queue that was recorded once and is issued again as a whole.
  class Graph {
   public:
    virtual ~Graph() = default;
  };

  /// What another process on this machine needs to reach memory of this one: opaque bytes, to be sent as they
  /// are. Not available where processes cannot share memory this way, as on a host.
  struct SharedMemory {
    std::array<std::byte, 64> handle{};
    bool available = false;
  };

  virtual ~Device() = default;
  /// Whether its memory is the host's and its work is done when it is issued.
  [[nodiscard]] virtual bool is_host() const = 0;
  /// Name and what else a reader of results should know: "NVIDIA H200 (9.0)"; empty for a host.
  [[nodiscard]] virtual std::string name() const = 0;

  /// Memory of the device, zeroed, on a boundary of 256 bytes; and host memory that copies reach without a
  /// detour. Throw std::bad_alloc where there is not enough. None of this inside a step.
  [[nodiscard]] virtual std::byte* allocate(Bytes) = 0;
  virtual void release(std::byte*) noexcept = 0;
  [[nodiscard]] virtual std::byte* allocate_host(Bytes) = 0;
  virtual void release_host(std::byte*) noexcept = 0;

  /// Lets copies reach host memory of somebody else's without a detour, until `unpin`, where the system
  /// allows that.
  virtual void pin(std::span<std::byte>) {}
  virtual void unpin(std::byte*) noexcept {}

  /// `share` takes what `allocate` gave and holds until its release; another process, never the same one,
  /// opens it and closes it before that release. Whatever one of them writes the other may read once both
  /// have agreed that the writing is done: nothing here orders their queues.
  [[nodiscard]] virtual SharedMemory share(std::byte*) { return {}; }
  /// Throws std::logic_error for what is not available.
  [[nodiscard]] virtual std::byte* open(const SharedMemory&) {
    throw std::logic_error("this device shares no memory between processes");
  }
  virtual void close(std::byte*) noexcept {}
  /// to = Σ terms, of one size and floating-point type, added in their order: the same bits wherever it is
  /// done. `to` may be one of the terms. For devices that share memory.
  virtual void add(Queue, View /*to*/, std::span<const ConstView> /*terms*/) {
    throw std::logic_error("this device adds nothing beside its back-end");
  }

  /// Copies between views of the same size and type, either of them here or on the host. Both stay as they
  /// are until the queue has done it.
  virtual void copy(Queue, View to, ConstView from) = 0;

  [[nodiscard]] virtual std::unique_ptr<Event> make_event() = 0;
  /// The event is reached once all that the queue holds now is done. One that was never recorded counts as
  /// reached.
  virtual void record(Event&, Queue) = 0;
  /// What is issued to `queue` from now on is done after the event. Does not wait.
  virtual void after(const Event&, Queue queue) = 0;
  /// Whether a recorded event is reached. Does not wait.
  [[nodiscard]] virtual bool reached(const Event&) = 0;
  /// Seconds between two reached events.
  [[nodiscard]] virtual double seconds_between(const Event& from, const Event& to) = 0;
  /// Waits for all queues, blocking: for set-up and ends only.
  virtual void synchronize() = 0;

  /// Whether work can be recorded; a host's cannot, and the calls below are a broken contract there.
  [[nodiscard]] virtual bool records() const = 0;
  /// Between these calls work issued to the compute queue is recorded instead of done; nothing is allocated,
  /// asked or waited for meanwhile. Events of a recording are recorded each time the graph is issued, not
  /// before.
  ///
  /// Another queue joins the recording when it is put `after` an event of it; before the end the compute
  /// queue has to be put after all that such a queue was given. An event from before the recording is waited
  /// for at each issue.
  virtual void begin_recording() = 0;
  [[nodiscard]] virtual std::unique_ptr<Graph> end_recording() = 0;
  virtual void issue(Graph&) = 0;

  /// Names what is issued from here on in a profiler's timeline, until `end_range`.
  virtual void begin_range(const char* name) = 0;
  virtual void end_range() = 0;
};

/// The host as a device: one for all host back-ends.
Device& host_device();

}  // namespace partita::kernels
