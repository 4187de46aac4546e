/// One line a plan: what it takes, and why it is not the best.
#include "print.hpp"

#include <algorithm>
#include <iomanip>
#include <ostream>

namespace partita::plan_app {
namespace {

using predict::Fate;
using predict::Outcome;

double mebibytes(kernels::Bytes bytes) { return static_cast<double>(bytes.value()) / 1048576; }

void print_line(std::ostream& out, std::size_t place, const Outcome& o, const Outcome& best) {
  out << std::setw(4) << place << "  " << std::left << std::setw(58) << o.candidate.name() << std::right
      << std::fixed << std::setprecision(3) << std::setw(11) << *o.step_seconds * 1e3 << std::setw(11)
      << std::setprecision(1) << mebibytes(o.memory) << std::setw(8) << 100 * o.idle_fraction << std::setw(8)
      << 100 * o.bubble_fraction << std::setw(9) << std::setprecision(2)
      << *o.step_seconds / *best.step_seconds << std::defaultfloat << (o.known_as.empty() ? "" : "  ")
      << o.known_as << "\n";
}

void print_counts(std::ostream& out, const predict::Plans& plans, const predict::SearchOptions& options) {
  out << plans.outcomes.size() << " plans: " << plans.count(Fate::simulated) << " simulated";
  if (const auto n = plans.count(Fate::bounded))
    out << ", " << n << " ruled out, since their busiest rank alone computes longer than the best takes";
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
  out << std::setw(4) << ""
      << "  " << std::left << std::setw(58) << "plan" << std::right << std::setw(11) << "step ms"
      << std::setw(11) << "MiB a rank" << std::setw(8) << "wait %" << std::setw(8) << "bubble" << std::setw(9)
      << "x best"
      << "\n";
  std::size_t place = 0;
  for (const auto& outcome : plans.outcomes) {
    if (outcome.fate != Fate::simulated) break;
    ++place;
    if (place <= options.top || !outcome.known_as.empty()) print_line(out, place, outcome, best);
  }
  print_counts(out, plans, options);
  if (plans.is_certain) out << "The first is the best of all in this model of the machine.\n";
}

}  // namespace partita::plan_app
