/// Times all-reduces of one size against each other: every contender in turn, sample after sample, so that a
/// machine whose speed drifts slows them all. Each result is checked before and after the timing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "partita/comm/communicator.hpp"
#include "partita/machine/machine.hpp"

namespace partita::bench_comm {

/// One way to reduce. Without an algorithm: the MPI library's blocking call, as a program without Partita
/// makes it.
struct Contender {
  std::string name;
  std::optional<comm::Algorithm> algorithm;
  bool in_window = false;  ///< the buffer lies in the shared window, else it is private and copied in and out
};

/// Every contender that is possible between the ranks of the communicator; the stock call is the first.
std::vector<Contender> contenders(const comm::Communicator&);

struct Measurement {
  Contender contender;
  comm::Bytes bytes;
  std::vector<double> seconds;  ///< of one call, slowest rank, by sample
  bool correct = true;          ///< on every rank, exactly
  [[nodiscard]] double median_seconds() const;
};

struct SamplingOptions {
  int samples = 15;
  double sample_seconds = 0.004;  ///< calls are repeated until a sample is about as long
};

/// fp32 sums of `bytes`, a multiple of four. Collective; every rank gets the same measurements.
std::vector<Measurement> measure(comm::Communicator&, comm::Bytes bytes, const SamplingOptions&);

/// Levels, windows and overheads between these ranks as a calibration measures them, with messages up to so
/// many bytes; on rank 0. Collective.
machine::Machine measure_rows(comm::MpiEnvironment&, comm::Communicator& world, comm::Bytes largest);

/// Sample by sample how many times shorter `ours` took than `yardstick`: the median of the ratios.
double median_ratio(const Measurement& yardstick, const Measurement& ours);

}  // namespace partita::bench_comm
