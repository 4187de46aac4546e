/// Parameters, and states of the optimizer, that ranks average or begin anew with.
#include "partita/kernels/averaging.hpp"

#include "bound.hpp"

namespace partita::execute {

void Executor::average(const step::Instruction& instruction, Bound& bound) {
  if (inspects_) return;
  const auto& bucket = program_.buckets[*instruction.bucket];
  const auto& averaging = *bucket.averaging;
  if (instruction.phase == step::Phase::none) {
    for (const auto slot : instruction.writes)
      kernels::scale(bound.slot(slot), step_memory_.values()->sample_share);
    return;
  }
  for (const auto state : averaging.reset_states)
    backend_.zero(bound.slot(state));
  const auto& local = program_.cadence.local;
  if (averaging.anchor)
    kernels::outer_step(bound.slot(bucket.parameters), bound.slot(averaging.anchor),
                        bound.slot(averaging.velocity), local.outer_rate, local.outer_momentum);
}

}  // namespace partita::execute
