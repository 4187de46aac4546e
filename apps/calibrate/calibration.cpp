/// What is measured in which order, and with which part of the budget.
#include "calibration.hpp"

#include <algorithm>
#include <iomanip>
#include <ostream>
#include <sstream>

#include "caches.hpp"
#include "checkpoint.hpp"
#include "memory.hpp"
#include "partita/calibrate/network.hpp"
#include "partita/calibrate/overheads.hpp"
#include "sharing.hpp"
#include "slowdowns.hpp"

namespace partita::calibrate {
namespace {

/// Of the budget: kernels on one rank, on all; messages of a level; windows.
constexpr double alone_share = 0.45, together_share = 0.35, messages_share = 0.06, windows_share = 0.06;
constexpr std::int64_t beyond_caches = 768 << 20, within_caches = 768 << 10;  ///< bytes of triads

class Course {
 public:
  Course(const Ranks& ranks, kernels::Backend& backend, const Options& options, std::ostream& progress)
      : environment_(ranks.environment),
        world_(ranks.world),
        self_(ranks.self),
        cores_(ranks.node_cores),
        at_once_(world_.size() > 1 && ranks.have_cores),
        backend_(backend),
        options_(options),
        progress_(progress),
        samples_(options.quick ? 4 << 20 : 48 << 20) {}

  Calibration run() {
    measure_overheads();
    measure_sharing();
    measure_memory();
    measure_slowdowns();
    measure_checkpoint();
    measure_kernels();
    measure_messages();
    measure_windows();
    return std::move(found_);
  }

 private:
  [[nodiscard]] bool leads() const { return world_.rank() == 0; }
  [[nodiscard]] std::ostream& say() { return progress_ << std::fixed << std::setprecision(1); }

  void note(const std::string& text) {
    found_.notes.push_back(text);
    if (leads()) progress_ << "  " << text << std::endl;
  }

  void measure_overheads() {
    if (leads()) progress_ << "overheads of transfers" << std::endl;
    auto& overheads = found_.machine.overheads;
    if (leads()) overheads = calibrate::measure_overheads(self_);
    gather_asleep(world_);
    if (leads())
      say() << "  start " << overheads.start_seconds * 1e9 << " ns, wait " << overheads.wait_seconds * 1e9
            << " ns, poll " << overheads.poll_seconds * 1e9 << " ns" << std::endl;
  }

  void measure_sharing();
  void measure_memory();
  void measure_slowdowns();
  void measure_checkpoint();
  void measure_kernels();
  void measure_messages();
  void measure_windows();
  void measure_kernels(comm::Communicator& group, int active, double share);

  comm::MpiEnvironment& environment_;
  comm::Communicator &world_, &self_;
  int cores_;
  bool at_once_;  ///< whether there is anything that all ranks do at once
  kernels::Backend& backend_;
  const Options& options_;
  std::ostream& progress_;
  Samples samples_;
  Calibration found_;
};

void Course::measure_sharing() {
  if (leads()) progress_ << "ranks that share a core" << std::endl;
  auto& cores = found_.machine.cores;
  cores = calibrate::measure_sharing(environment_, world_, self_, cores_);
  if (leads())
    say() << "  " << cores.number << (cores.number == 1 ? " core" : " cores") << ", yield "
          << cores.yield_seconds * 1e9 << " ns" << std::endl;
}

void Course::measure_memory() {
  if (leads()) progress_ << "memory" << std::endl;
  const auto size = options_.quick ? beyond_caches / 8 : beyond_caches;
  auto& machine = found_.machine;
  const auto caches = measure_caches(world_, self_, cores_, at_once_, size);
  machine.caches = caches.all;
  if (leads())
    for (const auto& [bytes, cores] : machine.caches)
      say() << "  cache of " << static_cast<double>(bytes.value()) * 0x1p-20 << " MiB"
            << (cores == 1 ? "" : " of " + std::to_string(cores) + " cores") << std::endl;
  if (leads() && caches.read_bytes > 0 && !caches.has_end)
    note("the outermost cache is as large as the system says: no end of it was found up to " +
         std::to_string(static_cast<int>(caches.read_bytes * 0x1p-20)) + " MiB");
  const auto say_rate = [&](const std::string& where, int active, double rate) {
    say() << "  " << where << " " << rate * 1e-9 << " GB/s a rank, " << active
          << (active == 1 ? " rank active" : " ranks active") << std::endl;
  };
  if (leads()) {
    machine.cache_bytes_per_second = triad_bytes_per_second(self_, within_caches);
    machine.main_bytes_per_second = triad_bytes_per_second(self_, size);
    machine.shared_memory.push_back({.active_ranks = 1, .bytes_per_second = machine.main_bytes_per_second});
    say_rate("cache", 1, machine.cache_bytes_per_second);
    say_rate("main memory", 1, machine.main_bytes_per_second);
  }
  gather_asleep(world_);
  if (!at_once_) return;
  const int active = world_.local_size();
  const double rate = triad_bytes_per_second(world_, size);
  machine.shared_memory.push_back({.active_ranks = active, .bytes_per_second = rate});
  if (leads()) say_rate("main memory", active, rate);
}

/// What all ranks divide their times by.
void Course::measure_slowdowns() {
  if (!at_once_) return;
  if (leads()) progress_ << "kernels beside messages" << std::endl;
  found_.machine.slowdowns = calibrate::measure_slowdowns(world_, backend_);
  if (!leads()) return;
  for (const auto& row : found_.machine.slowdowns)
    say() << "  " << row.of << " take " << std::setprecision(3) << row.factor << " times as long"
          << std::endl;
}

/// By one rank: a disk is shared by all that use it.
void Course::measure_checkpoint() {
  if (leads()) {
    progress_ << "checkpoints" << std::endl;
    const kernels::Bytes bytes(options_.quick ? 4 << 20 : 128 << 20);
    const auto& found = found_.machine.checkpoint = calibrate::measure_checkpoint(options_.output, bytes);
    say() << "  " << found.bytes_per_second * 1e-9 << " GB/s, and " << found.seconds * 1e3 << " ms each"
          << std::endl;
  }
  gather_asleep(world_);
}

void Course::measure_kernels(comm::Communicator& group, int active, double share) {
  const KernelOptions options{
      .execution = {.implementation = backend_.name(), .threads = options_.threads, .active_ranks = active},
      .caches = found_.machine.caches,
      .slowdowns = found_.machine.slowdowns,
      .limits = {.step_flops = options_.quick ? 5e8 : 3e10, .activation_bytes = options_.quick ? 2e7 : 5e8},
      .network_seconds = options_.quick ? 0.05 : 0.2,
      .least_networks = active == 1 ? 4 : 6,
      .most_tries = options_.quick ? 1 : 3};
  if (leads())
    say() << "kernels, " << active << (active == 1 ? " rank" : " ranks") << " active on a node" << std::endl;
  KernelCampaign campaign(group, self_, backend_, samples_, options);
  campaign.run(share * options_.budget_seconds);
  auto durations = campaign.gather();
  if (!leads()) return;
  const auto times = times_of(durations);
  if (active == 1) found_.machine.overheads.step_seconds = campaign.step_overhead_seconds();
  for (const auto before = static_cast<int>(found_.networks.size()); auto& [key, all] : durations)
    for (auto& duration : all)
      duration.network += before;
  found_.durations.merge(durations);
  found_.networks.insert(found_.networks.end(), campaign.networks().begin(), campaign.networks().end());
  const auto products = campaign.products(times);
  found_.machine.flops_per_second = products.flops_per_second;  // in the end of all ranks at once
  found_.machine.call_seconds = products.call_seconds;
  found_.machine.variance = campaign.variance();
  const auto [slowest, fastest] = campaign.drift();
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << times.size() << " kernels of " << campaign.networks().size()
       << " networks in " << campaign.visits() << " visits (" << campaign.repeated() << " repeated), "
       << active << (active == 1 ? " rank" : " ranks") << " active: up to "
       << found_.machine.flops_per_second * 1e-9 << " GFLOP/s; the machine drifted between " << slowest
       << " and " << fastest << " of its median";
  note(text.str());
}

void Course::measure_kernels() {
  if (leads()) measure_kernels(self_, 1, at_once_ ? alone_share : alone_share + together_share);
  gather_asleep(world_);
  if (at_once_)
    measure_kernels(world_, world_.local_size(), together_share);
  else if (world_.size() > 1)
    note("more ranks than cores: kernels were measured on one alone");
  found_.machine.kernels = times_of(found_.durations);
}

void Course::measure_messages() {
  auto& machine = found_.machine;
  const auto& described = machine::Machine::shipped();
  machine.progress = machine::Progress::polled;
  machine.link_latency_seconds = described.link_latency_seconds;
  machine.link_bytes_per_second = described.link_bytes_per_second;
  if (world_.size() == 1) return note("one rank has no messages: the link is that of the shipped machine");
  if (leads()) progress_ << "messages" << std::endl;
  MessageOptions options{.seconds = messages_share * options_.budget_seconds};
  if (options_.quick) options.sizes = 14, options.most_bytes = 4 << 20;
  machine.levels = measure_levels(world_, machine.overheads, options);
  if (!leads()) return;
  print(progress_, machine.levels);
  const auto seconds = [&](std::int64_t bytes) {
    const auto t = machine.message(0, world_.size() - 1, kernels::Bytes(bytes));
    return machine::seconds_of(t.send + t.latency + t.bytes + t.receive);
  };
  constexpr std::int64_t large = 1 << 20;
  machine.link_latency_seconds = seconds(1);
  machine.link_bytes_per_second = static_cast<double>(large) / seconds(large);
}

void Course::measure_windows() {
  if (leads() && world_.local_size() > 1) progress_ << "shared windows" << std::endl;
  auto& machine = found_.machine;
  WindowOptions options{.seconds = windows_share * options_.budget_seconds, .overheads = machine.overheads};
  if (options_.quick) options.sizes = 12, options.most_bytes = 4 << 20;
  const auto times = measure_window_times(world_, options);
  if (!leads()) return;
  machine.flag_seconds = times.flag_seconds;
  machine.windows = times.rows;
  print(progress_, times);
}

}  // namespace

Calibration measure(const Ranks& ranks, kernels::Backend& backend, const Options& options,
                    std::ostream& progress) {
  return Course(ranks, backend, options, progress).run();
}

}  // namespace partita::calibrate
