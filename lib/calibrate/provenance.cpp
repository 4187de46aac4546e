/// What a reader of a machine file wants to know of its figures.
#include "partita/calibrate/provenance.hpp"

#include <cstdlib>
#include <iomanip>
#include <map>
#include <sstream>

#include "partita/base/cores.hpp"
#include "partita/base/version.hpp"
#include "partita/comm/library.hpp"
#include "partita/kernels/cpu/library.hpp"
#include "partita/results/record.hpp"

namespace partita::calibrate {
namespace {

/// A load of others that is not noise.
constexpr double noticed = 0.5;

std::string one_digit(double value) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << value;
  return text.str();
}

std::string ranks_by_host(const std::vector<std::string>& hosts) {
  std::map<std::string, int> ranks;
  for (const auto& host : hosts)
    ++ranks[host];
  std::string text;
  for (const auto& [host, n] : ranks)
    text += (text.empty() ? "" : ", ") + host + " (" + std::to_string(n) + (n == 1 ? " rank)" : " ranks)");
  return text;
}

}  // namespace

double load() {
  double minute = -1;
  return getloadavg(&minute, 1) == 1 ? minute : -1;
}

machine::Provenance provenance_of(const std::vector<std::string>& hosts, const Loads& loads) {
  const auto version = base::version();
  return {.origin = "measured",
          .host = ranks_by_host(hosts),
          .cpu = base::cpu_model(),
          .date = results::new_attributes().created,
          .versions = "partita " + std::string(version.software_version) + " " +
                      std::string(version.git_commit) + (version.git_dirty ? " (changed)" : "") + ", " +
                      comm::library_version() + ", oneDNN " + kernels::cpu::onednn_version(),
          .load = one_digit(loads.before) + " before, " + one_digit(loads.after) + " after"};
}

std::string warning_of(const Loads& loads) {
  const std::string consequence = ": the figures may be too slow";
  if (loads.before > noticed)
    return "others computed when the calibration began (load average " + one_digit(loads.before) + ")" +
           consequence;
  if (loads.after > loads.own + noticed)
    return "others computed beside the calibration (load average " + one_digit(loads.after) +
           " at its end, its own at most " + std::to_string(loads.own) + ")" + consequence;
  return {};
}

}  // namespace partita::calibrate
