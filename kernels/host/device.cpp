/// The host as a device: work is done when it is issued, so its queues are always empty; it records nothing.
#include "partita/kernels/device.hpp"

#include <chrono>
#include <cstring>
#include <stdexcept>

#include "partita/kernels/host_pages.hpp"

namespace partita::kernels {
namespace {

class HostEvent final : public Device::Event {
 public:
  std::chrono::steady_clock::time_point at{};
};

class HostDevice final : public Device {
 public:
  bool is_host() const override { return true; }
  std::string name() const override { return {}; }

  std::byte* allocate(Bytes bytes) override { return allocate_host_pages(bytes); }
  void release(std::byte* data) noexcept override { release_host_pages(data); }
  std::byte* allocate_host(Bytes bytes) override { return allocate(bytes); }
  void release_host(std::byte* data) noexcept override { release(data); }

  void copy(Queue, View to, ConstView from) override {
    if (to.type() != from.type() || to.size() != from.size())
      throw std::logic_error("copies are between views of one size and type");
    if (!to.empty()) std::memmove(to.data(), from.data(), static_cast<std::size_t>(to.bytes().value()));
  }

  std::unique_ptr<Event> make_event() override { return std::make_unique<HostEvent>(); }
  void record(Event& event, Queue) override {
    static_cast<HostEvent&>(event).at = std::chrono::steady_clock::now();
  }
  void after(const Event&, Queue) override {}
  bool reached(const Event&) override { return true; }
  double seconds_between(const Event& from, const Event& to) override {
    return std::chrono::duration<double>(static_cast<const HostEvent&>(to).at -
                                         static_cast<const HostEvent&>(from).at)
        .count();
  }
  void synchronize() override {}

  bool records() const override { return false; }
  void begin_recording() override { throw std::logic_error("a host records nothing"); }
  std::unique_ptr<Graph> end_recording() override { throw std::logic_error("a host records nothing"); }
  void issue(Graph&) override { throw std::logic_error("a host records nothing"); }

  void begin_range(const char*) override {}
  void end_range() override {}
};

}  // namespace

Device& host_device() {
  static HostDevice device;
  return device;
}

}  // namespace partita::kernels
