/// The events of a training as MLPerf log lines (":::MLLOG {json}"), for tools that read those.
///
/// Format: github.com/mlcommons/logging. A line carries namespace, time_ms since 1970, event_type
/// (INTERVAL_START, INTERVAL_END, POINT_IN_TIME), key, value and metadata. Times never go back, whatever the
/// system's clock does.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <source_location>
#include <string_view>

#include "partita/config/options.hpp"
#include "partita/run/training.hpp"

namespace partita::job {

class MlperfLog {
 public:
  /// The initialisation begins. Nothing is ever written where `out` is null.
  explicit MlperfLog(std::ostream* out);

  /// The initialisation ends, the run begins: what is trained, how, and on which samples.
  void begin_run(const config::RunOptions&, const data::DataPair&);
  void begin_epoch(std::int64_t epoch);
  void begin_evaluation(std::int64_t epoch);
  /// Ends the evaluation, where there was one, and the epoch.
  void end_epoch(const run::EpochRow&);
  /// `success`: the target accuracy was reached, or all steps were taken where none is asked for.
  void end_run(bool success);

 private:
  void write(std::string_view type, std::string_view key, const nlohmann::ordered_json& value,
             const nlohmann::ordered_json& more_metadata,
             std::source_location where = std::source_location::current()) const;

  std::ostream* out_;
  double begin_ms_, begin_seconds_;  ///< since 1970, and on the clock that never goes back
  std::int64_t epoch_ = 0;           ///< in progress; 0 outside epochs
  bool evaluates_ = false;
};

}  // namespace partita::job
