/// Which way an axis takes: `ipc` if all its ranks are on one node and can open each other's memory, which is
/// tried once with a sample; else device memory handed to MPI if MPI can read it; else copies on the host.
#include "partita/device/device_links.hpp"

#include "partita/base/error.hpp"

namespace partita::device {

using collective::Purpose;

DeviceLinks::DeviceLinks(kernels::Device& device, comm::Axes& axes, Way wanted, std::span<std::byte> sample)
    : device_(device), axes_(axes) {
  const Way otherwise = wanted == Way::direct || (wanted == Way::automatic && comm::reaches_device_memory())
                            ? Way::direct
                            : Way::staged;
  for (auto& [axis, communicator] : axes.all())
    ways_[axis] = otherwise;
  if (device.is_host() || wanted == Way::staged || wanted == Way::direct || axes.world().size() == 1) return;
  memory_.emplace(device, axes.world());
  memory_->share(sample);
  const kernels::View view(sample.data(), kernels::DataType::uint8,
                           kernels::Elements(static_cast<std::int64_t>(sample.size())));
  std::vector<base::Violation> violations;
  for (auto& [axis, communicator] : axes.all()) {
    const auto reason = why_not(communicator, view);
    std::int64_t fails = reason.empty() ? 0 : 1;
    axes.world().all_reduce(std::span(&fails, 1), comm::Combine::max, Purpose::control);
    if (fails == 0) ways_[axis] = Way::ipc;
    if (!reason.empty())
      violations.push_back({"sync.device-messages", "ipc", std::string(to_string(axis)) + ": " + reason});
  }
  if (wanted != Way::ipc) return;
  violations = axes.world().agree(violations);
  if (!violations.empty()) throw base::ConfigError(violations);
}

std::string DeviceLinks::why_not(comm::Communicator& axis, kernels::View sample) {
  if (axis.local_size() != axis.size()) return "its ranks are not on one node";
  const bool shares = memory_->why_not().empty();
  const auto addresses = axis.all_gather_text(shares ? memory_->address(sample) : "", Purpose::control);
  if (!shares) return memory_->why_not();
  try {
    for (const auto& address : addresses)
      if (memory_->open(address) == nullptr) return "a rank shares no memory";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

std::string DeviceLinks::describe(collective::Algorithm of_reductions) const {
  if (device_.is_host() || axes_.world().size() == 1) return {};
  std::string each;
  bool same = true, reaches = false;
  std::optional<Way> first;
  for (auto& [axis, communicator] : axes_.all()) {
    if (communicator.size() == 1) continue;
    const Way way = along(axis);
    same = same && way == first.value_or(way);
    reaches = reaches || way == Way::ipc;
    first = first.value_or(way);
    each += (each.empty() ? "" : ", ") + std::string(to_string(axis)) + ": " + std::string(to_string(way));
  }
  const std::string ways = same && first ? std::string(to_string(*first)) : each;
  return reaches && !collective::works_on_shared(of_reductions) ? ways + ", all-reduces staged" : ways;
}

void DeviceLinks::share(std::span<std::byte> allocation) {
  if (memory_ && memory_->why_not().empty() && !memory_->share(allocation))
    throw base::EnvironmentError("kernels::Device::share", 0, memory_->why_not());
}

void DeviceLinks::connect() {
  for (auto& [axis, communicator] : axes_.all())
    if (along(axis) == Way::ipc) communicator.connect_shared();
}

}  // namespace partita::device
