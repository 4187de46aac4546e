/// Simulates each network's program as any other is simulated.
#include "own_error.hpp"

#include <cmath>
#include <iomanip>
#include <ostream>

#include "partita/results/statistics.hpp"
#include "partita/sim/simulate.hpp"
#include "partita/step/roles.hpp"

namespace partita::calibrate {
namespace {

constexpr int steps = 3;  ///< of a simulation, as many as a steady state wants

double predicted_seconds(const TrainedNetwork& trained, const machine::Machine& machine,
                         const step::TensorFormat& format) {
  const auto& network = trained.network;
  const auto whole = split(network);
  const step::Roles roles(whole.plan.grid, [&](const topology::Coordinate& role) {
    return step::build_training_program(whole.model, whole.plan, role, format);
  });
  const auto costs = sim::costs_on(machine, roles.by_rank, network.batch, {}, trained.execution);
  return machine::seconds_of(sim::simulate(roles.by_rank, costs, steps).step_duration());
}

/// Of one way to predict, over all networks.
void print_summary(std::ostream& out, const std::string& what, const std::vector<double>& errors) {
  std::vector<double> magnitudes;
  double mean = 0, bias = 0;
  for (const double error : errors) {
    magnitudes.push_back(std::abs(error));
    mean += std::abs(error) / static_cast<double>(errors.size());
    bias += error / static_cast<double>(errors.size());
  }
  out << what << " of " << errors.size() << " networks: mean magnitude (MAPE) " << 100 * mean << " %, median "
      << 100 * results::median(magnitudes) << " %, 95th percentile "
      << 100 * results::percentile(magnitudes, 95) << " %, bias " << std::showpos << 100 * bias
      << std::noshowpos << " %" << std::endl;
}

}  // namespace

std::vector<Prediction> predict(const Calibration& found, const step::TensorFormat& format) {
  std::vector<Prediction> predictions;
  for (const auto& trained : found.networks)
    predictions.push_back({.network = trained.network.name,
                           .measured_seconds = trained.median_step_seconds,
                           .predicted_seconds = predicted_seconds(trained, found.machine, format)});
  constexpr int parts = 5;
  auto machine = found.machine;
  for (int part = 0; part < parts; ++part) {
    machine.kernels = times_of(found.durations, [&](int network) { return network % parts != part; });
    for (auto n = static_cast<std::size_t>(part); n < found.networks.size(); n += parts)
      predictions[n].held_out_seconds = predicted_seconds(found.networks[n], machine, format);
  }
  return predictions;
}

void print(std::ostream& out, const std::vector<Prediction>& predictions) {
  out << std::left << std::setw(62) << "  network" << std::right << std::setw(12) << "measured ms"
      << std::setw(14) << "predicted ms" << std::setw(10) << "error" << std::setw(14) << "held out ms"
      << std::setw(10) << "error\n"
      << std::fixed;
  std::vector<double> own, held_out;
  for (const auto& p : predictions) {
    own.push_back(p.predicted_seconds / p.measured_seconds - 1);
    held_out.push_back(p.held_out_seconds / p.measured_seconds - 1);
    const auto column = [&](double seconds, double error, int width) {
      out << std::setprecision(3) << std::setw(width) << seconds * 1e3 << std::showpos << std::setprecision(1)
          << std::setw(8) << 100 * error << " %" << std::noshowpos;
    };
    out << "  " << std::left << std::setw(60) << p.network << std::right << std::setprecision(3)
        << std::setw(12) << p.measured_seconds * 1e3;
    column(p.predicted_seconds, own.back(), 14);
    column(p.held_out_seconds, held_out.back(), 14);
    out << "\n";
  }
  out << std::setprecision(1);
  print_summary(out, "held out, error", held_out);
  print_summary(out, "own error", own);
  out << std::defaultfloat;
}

}  // namespace partita::calibrate
