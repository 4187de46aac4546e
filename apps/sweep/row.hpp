/// What is known of one configuration: a row of the index, and a small file of its own.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "configurations.hpp"
#include "partita/results/record.hpp"

namespace partita::sweep {

/// `failed`: a rank threw; `invalid`: the run ended and says itself that its numbers must not be used;
/// `interrupted`: stopped by a signal; `running`: begun and not ended, or ended by force.
enum class Status { pending, running, complete, invalid, failed, interrupted };
std::string_view to_string(Status);

struct Row {
  int number = 0;
  std::string config_hash;
  Status status = Status::pending;
  std::string reason;  ///< why it is not complete
  std::string ranks;   ///< of the job, "2-3"
  double seconds = results::not_measured;
  std::vector<results::Figure> figures;  ///< of the result

  [[nodiscard]] double figure(std::string_view name) const;
};

std::string to_json(const Row&);
/// Nothing where the text is no whole row.
std::optional<Row> from_json(const std::string&);

/// A row from the result file: complete where the file is whole and of this configuration, else pending.
Row row_of_result(const Configuration&);

/// Whether the result file is of this configuration and has this hash, as an earlier version may have made
/// it.
bool has_result(const Configuration&, const std::string& config_hash);

}  // namespace partita::sweep
