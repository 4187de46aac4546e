/// Counts what is under way along a program; where steps differ, along those of which there are most.
#include "partita/cost/slowdown.hpp"

#include <algorithm>

#include "partita/step/traffic.hpp"

namespace partita::cost {
namespace {

using step::Instruction;
using step::Kind;
using step::Program;

/// Sums of a few numbers are no load.
bool moves_tensors(const step::Transfer& transfer) {
  using collective::Purpose;
  const auto purpose = transfer.purpose;
  return transfer.operation != collective::Operation::receive && purpose != Purpose::metric &&
         purpose != Purpose::statistics && purpose != Purpose::norm && purpose != Purpose::control;
}

bool is_product(const Program& program, const Instruction& i) {
  if ((i.kind != Kind::forward && i.kind != Kind::backward) || i.phase == step::Phase::activation)
    return false;
  const auto kind = program.units[*i.unit].local.kind;
  return kind == model::LayerKind::linear || kind == model::LayerKind::conv;
}

/// What steps of a kind wait for and have not started.
int carried_into(const Program& program, step::StepKind kind) {
  const auto starts = step::kinds_of_starts(program);
  int carried = 0;
  for (const auto& i : program.instructions)
    if (i.kind == Kind::wait && i.in.has(kind) && !starts[*i.transfer].has(kind) &&
        moves_tensors(program.transfers[*i.transfer]))
      ++carried;
  return carried;
}

}  // namespace

std::vector<double> slowdowns_of(const Program& program, std::span<const machine::Slowdown> slowdowns) {
  if (slowdowns.empty()) return {};
  const auto factor_of = [&](std::string_view kind) {
    const auto known = std::ranges::find(slowdowns, kind, &machine::Slowdown::of);
    return known == slowdowns.end() ? 1.0 : known->factor;
  };
  const double of_products = factor_of("products"), of_others = factor_of("others");
  std::vector<double> factors(program.instructions.size());
  for (const auto kind : step::kinds_by_use(program.cadence)) {
    int under_way = carried_into(program, kind);
    for (std::size_t n = 0; n < factors.size(); ++n) {
      const auto& i = program.instructions[n];
      if (!i.in.has(kind)) continue;
      const bool counts = i.transfer && moves_tensors(program.transfers[*i.transfer]);
      if (i.kind == Kind::wait && counts) --under_way;
      if (factors[n] == 0) factors[n] = under_way == 0 ? 1 : is_product(program, i) ? of_products : of_others;
      if (i.kind == Kind::start && counts) ++under_way;
    }
  }
  return factors;
}

}  // namespace partita::cost
