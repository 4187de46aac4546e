/// One line a plan: what it takes, and why it is not the best.
#include "print.hpp"

#include <algorithm>
#include <iomanip>
#include <ostream>
#include <string_view>
#include <vector>

namespace partita::plan_app {
namespace {

using predict::Fate;
using predict::Objective;
using predict::Outcome;

double mebibytes(kernels::Bytes bytes) { return static_cast<double>(bytes.value()) / 1048576; }

/// By what its time is known: `>=` where it is a bound.
std::string_view word_of(Fate fate) {
  switch (fate) {
    case Fate::simulated:
      return "simulated";
    case Fate::unshared:
      return ">= unshared";
    case Fate::bounded:
      return ">= one rank";
    case Fate::too_large:
      return "too large";
    case Fate::impossible:
      return "refused";
  }
  return "";
}

bool is_simulated(const Outcome& o) { return o.fate == Fate::simulated || o.fate == Fate::unshared; }

/// Milliseconds of a step, or seconds of an epoch.
double shown(const Outcome& o, const predict::SearchOptions& options) {
  if (options.objective == Objective::epoch) return o.epoch_seconds.value_or(o.epoch_bound_seconds);
  return o.step_seconds.value_or(o.bound_seconds) * 1e3;
}

/// An outcome with its place among those that the run takes.
struct Line {
  std::size_t place;
  const Outcome* outcome;
};

/// The first ones, and what people take without a search.
std::vector<Line> lines_of(const predict::Plans& plans, std::size_t top) {
  std::vector<Line> lines;
  std::size_t place = 0;
  for (const auto& outcome : plans.outcomes)
    if (outcome.fate != Fate::impossible && (++place <= top || !outcome.known_as.empty()))
      lines.push_back({place, &outcome});
  return lines;
}

void print_line(std::ostream& out, const Line& line, int name_width, const Outcome& best,
                const predict::SearchOptions& options) {
  const auto& o = *line.outcome;
  out << std::setw(4) << line.place << "  " << std::left << std::setw(name_width) << o.candidate.name()
      << std::right << std::fixed << std::setprecision(3) << std::setw(11) << shown(o, options);
  const auto column = [&](int width, int digits, double number, bool is_known) {
    if (is_known)
      out << std::setw(width) << std::setprecision(digits) << number;
    else
      out << std::setw(width) << "-";
  };
  const double size = mebibytes(o.memory);
  column(11, size < 1 ? 4 : size < 100 ? 2 : 1, size, o.memory.value() > 0);
  column(8, 1, 100 * o.idle_fraction, is_simulated(o));
  column(8, 1, 100 * o.bubble_fraction, is_simulated(o));
  column(9, 2, shown(o, options) / shown(best, options), true);
  out << std::defaultfloat << "  " << word_of(o.fate) << (o.known_as.empty() ? "" : ", ") << o.known_as
      << "\n";
}

void print_counts(std::ostream& out, const predict::Plans& plans, const predict::SearchOptions& options) {
  out << plans.outcomes.size() << " plans: " << plans.count(Fate::simulated) << " simulated";
  if (const auto n = plans.count(Fate::unshared))
    out << ", " << n
        << " simulated without sharing of links and without polling (unshared), which takes no longer";
  if (const auto n = plans.count(Fate::bounded))
    out << ", " << n
        << (options.objective == Objective::memory ? " not simulated, since their memory is known without"
            : plans.is_certain
                ? " ruled out, since one of their ranks alone takes as long as the best or longer"
                : " not simulated, and bounded by what one of their ranks alone takes");
  if (const auto n = plans.count(Fate::too_large))
    out << ", " << n << " need more than " << *options.memory << " bytes";
  if (const auto n = plans.count(Fate::impossible)) out << ", " << n << " that the run refuses";
  out << "\n";
  const auto refused = std::ranges::find(plans.outcomes, Fate::impossible, &Outcome::fate);
  if (refused != plans.outcomes.end())
    out << "refused, for example: " << refused->candidate.name() << ": " << refused->why << "\n";
}

}  // namespace

void print(std::ostream& out, const predict::Plans& plans, const predict::SearchOptions& options) {
  const auto& best = plans.outcomes.front();
  const bool epoch = options.objective == Objective::epoch;
  const auto lines = lines_of(plans, options.top);
  std::size_t longest = 56;
  for (const auto& line : lines)
    longest = std::max(longest, line.outcome->candidate.name().size());
  const int name_width = static_cast<int>(longest) + 2;
  out << std::setw(4) << ""
      << "  " << std::left << std::setw(name_width) << "plan" << std::right << std::setw(11)
      << (epoch ? "epoch s" : "step ms") << std::setw(11) << "MiB a rank" << std::setw(8) << "wait %"
      << std::setw(8) << "bubble" << std::setw(9) << "x best"
      << "  known by\n";
  for (const auto& line : lines)
    print_line(out, line, name_width, best, options);
  print_counts(out, plans, options);
  if (const auto left_out = predict::text_of(plans.left_out); !left_out.empty()) out << left_out << "\n";
  if (plans.ranks_share_cores) out << predict::text_of_shared_cores() << "\n";
  if (plans.is_certain)
    out << "The first is the best of all in this model of the machine.\n";
  else if (!plans.left_out.any())
    out << "The best of all takes at most " << std::setprecision(3) << 100 * plans.gap
        << " % less than the first in this model of the machine.\n";
}

}  // namespace partita::plan_app
