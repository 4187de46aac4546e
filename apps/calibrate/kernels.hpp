/// How long kernels take: random networks are trained, and the durations of their instructions are kept by
/// what they run.
///
/// A fixed product is timed before and after each network. What it takes more than its median over the whole
/// campaign is the machine's drift (its clock, other programs), by which the times between are divided.
#pragma once

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <vector>

#include "partita/calibrate/group.hpp"
#include "trainee.hpp"
#include "variance.hpp"

namespace partita::calibrate {

/// A network that was measured, on this rank.
struct TrainedNetwork {
  Network network;
  cost::Execution execution;  ///< by which it was trained
  double median_step_seconds = 0;
  double spread = 0;  ///< interquartile range ÷ median of its steps
  std::int64_t steps = 0;
};

/// What a kernel took in the training of a network.
struct Duration {
  int network = 0;  ///< index among those that were measured
  double seconds = 0;
};
using Durations = std::map<machine::KernelKey, std::vector<Duration>>;

/// Medians and quartiles by kernel, of the networks for which `counts` is true.
std::vector<machine::KernelTime> times_of(const Durations&, const std::function<bool(int network)>& counts);
std::vector<machine::KernelTime> times_of(const Durations&);

struct KernelOptions {
  std::uint64_t seed = 1;
  cost::Execution execution;  ///< of every network but for its optimizer
  std::vector<machine::Cache> caches;
  std::vector<machine::Slowdown> slowdowns;  ///< by which times beside messages are divided
  Limits limits;
  double network_seconds = 0.2;  ///< of one visit to a network
  int least_networks = 6;        ///< however short the budget is
  int most_tries = 3;            ///< to measure a network undisturbed, for the first time
  double narrow = 0.03;          ///< spread from which on a network needs no other visit
  int least_repeats = 2;  ///< visits to known networks, however short the budget is: they tell runs apart
};

class KernelCampaign {
 public:
  /// Of all ranks of the group at once; `self`: this rank alone, for networks of one rank. All but the
  /// options outlive the campaign. Collective over the group, as everything that takes no `const` campaign.
  KernelCampaign(comm::Communicator& group, comm::Communicator& self, kernels::Backend&, Samples&,
                 const KernelOptions&);

  /// New networks until seven tenths of the seconds are spent, then once more those whose steps varied most.
  void run(double seconds);
  /// Of all ranks together, the drift divided out; nothing except on rank 0.
  Durations gather();

  /// Of what multiplies: the most that any kernel of these times reaches, and the shortest of them, which is
  /// hardly more than its call.
  struct Products {
    double flops_per_second = 0, call_seconds = 0;
  };
  [[nodiscard]] Products products(const std::vector<machine::KernelTime>&) const;
  [[nodiscard]] const std::vector<TrainedNetwork>& networks() const { return networks_; }
  [[nodiscard]] std::size_t visits() const { return visits_.size(); }
  [[nodiscard]] int repeated() const { return repeated_; }  ///< visits, for what disturbed them
  /// The fixed product at its fastest and its slowest, ÷ its median.
  [[nodiscard]] std::pair<double, double> drift() const;
  /// How far kernels scattered: in a visit, by the quartiles of their steps; what all of a step take together
  /// between visits to one network, by the quartiles of all such medians, with the machine's drift; after
  /// `gather`, medians of a kernel in a network between ranks.
  [[nodiscard]] machine::Variance variance() const;
  /// Of a step, beyond its instructions.
  [[nodiscard]] double step_overhead_seconds() const;

 private:
  struct Kernel {
    int key = 0;  ///< as `index_of_` numbers them
    Duration duration;
  };
  struct Visit {
    int network = 0;
    double reference = 0;  ///< seconds of the fixed product around it
    std::vector<double> steps;
    std::vector<Kernel> kernels;
  };
  double time_reference();
  void draw(std::uint32_t index);
  /// False where the machine was disturbed and the visit is worth nothing; the last try is kept as it is.
  bool visit(int network, bool last_try);
  void summarize();  ///< brings `networks_` up to date
  std::vector<std::vector<machine::KernelKey>> gather_keys();
  [[nodiscard]] double median_reference() const;
  [[nodiscard]] double correction(const Visit&) const;
  [[nodiscard]] int index_of(const Trainee::Kernel&);

  comm::Communicator &group_, &self_;
  kernels::Backend& backend_;
  Samples& samples_;
  KernelOptions options_;
  Samples reference_samples_;
  Trainee reference_;
  std::vector<TrainedNetwork> networks_;
  std::vector<Visit> visits_;
  std::map<machine::KernelKey, int> index_of_;  ///< as this rank met them
  std::vector<double> flops_;                   ///< by this index
  std::vector<double> overheads_;
  Pooled between_ranks_;
  int repeated_ = 0;
  double fastest_reference_ = std::numeric_limits<double>::infinity();
};

}  // namespace partita::calibrate
