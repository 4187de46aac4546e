/// Finds what would make a program fail: a slot smaller or larger than its instruction needs, a range outside
/// its buffer. Sizes are computed from layers and placements, beside the code that made the slots.
#include "partita/step/check.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "checker.hpp"
#include "pairing.hpp"

namespace partita::step {

std::vector<std::string> Checker::faults() {
  for (std::size_t i = 0; i < p_.instructions.size(); ++i) {
    at_ = i;
    if (names_slots(p_.instructions[i]))
      check(p_.instructions[i]);
    else
      require(false, "names no slot");
  }
  return std::move(found_);
}

void Checker::require(bool holds, const std::string& what) {
  if (holds) return;
  const auto& i = p_.instructions[at_];
  std::string where = "instruction " + std::to_string(at_) + " (" + std::string(to_string(i.kind));
  if (i.unit) where += " " + name_of(p_.units[*i.unit], model_);
  found_.push_back(where + ") of stage " + std::to_string(p_.at.pipeline) + ", tensor rank " +
                   std::to_string(p_.at.tensor) + " with " + std::to_string(samples_) + " samples: " + what);
}

void Checker::require_equal(std::int64_t held, std::int64_t needed, const std::string& what) {
  require(held == needed,
          what + " has " + std::to_string(held) + " elements instead of " + std::to_string(needed));
}

bool Checker::names_slots(const Instruction& i) const {
  const auto is_slot = [&](SlotId s) { return p_.slots.has(s); };
  return std::all_of(i.reads.begin(), i.reads.end(), is_slot) &&
         std::all_of(i.writes.begin(), i.writes.end(), is_slot);
}

void Checker::check(const Instruction& i) {
  switch (i.kind) {
    case Kind::load:
      return check_load(i);
    case Kind::loss:
      return check_loss(i);
    case Kind::forward:
    case Kind::backward:
      return check_unit(i);
    case Kind::convert:
    case Kind::pack:
    case Kind::unpack:
      return check_moves(i);
    case Kind::combine:
      return check_combine(i);
    case Kind::average:
      return check_average(i);
    case Kind::encode:
    case Kind::decode:
      return check_code(i);
    case Kind::sum:
      return check_sum(i);
    case Kind::share:
      return check_share(i);
    case Kind::norm:
      return check_norm(i);
    case Kind::update:
      return check_update(i);
    case Kind::start:
    case Kind::wait:
      return check_transfer(p_.transfers[*i.transfer]);
  }
}

bool Checker::in_vector(SlotId slot) const {
  const auto& s = p_.slots[slot];
  const auto all = [&] {
    switch (s.role) {
      case SlotRole::parameters:
        return p_.held_count;
      case SlotRole::residual:
        return p_.residual_count;
      case SlotRole::basis:
        return p_.basis_count;
      case SlotRole::optimizer_state:
        return p_.state_count;
      case SlotRole::anchor:
      case SlotRole::outer_velocity:
        return p_.outer_count;
      case SlotRole::message:
        return Elements(p_.message_bytes.value() / size_of(s.type));
      default:
        return p_.gradient_count;
    }
  }();
  return s.first >= Elements(0) && s.first + s.fixed <= all;
}

namespace {

void append(std::vector<std::string>& all, std::vector<std::string> more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

std::set<std::int64_t> microbatch_sizes(const Program& program, int data_rank, std::int64_t batch) {
  std::set<std::int64_t> sizes;
  for (const auto j : program.microbatch_ids())
    sizes.insert(program.microbatch(j, data_rank, batch).size());
  return sizes;
}

}  // namespace

std::vector<std::string> faults_of(const Program& program, const model::ModelSpec& model,
                                   std::int64_t samples) {
  return Checker(program, model, samples).faults();
}

std::vector<std::string> faults_of(const Program& program, const model::ModelSpec& model, int data_rank,
                                   std::int64_t batch) {
  std::vector<std::string> found;
  for (const auto samples : microbatch_sizes(program, data_rank, batch))
    append(found, faults_of(program, model, samples));
  return found;
}

std::vector<std::string> faults_of(const ProgramsByRank& programs, const model::ModelSpec& model,
                                   std::int64_t batch) {
  std::set<std::pair<const Program*, std::int64_t>> seen;  // ranks of one role share their program
  std::vector<std::string> found;
  for (int r = 0; r < static_cast<int>(programs.size()); ++r) {
    const auto& program = *programs[static_cast<std::size_t>(r)];
    for (const auto n : microbatch_sizes(program, topology::coordinate_of(program.grid, r).data, batch))
      if (seen.emplace(&program, n).second) append(found, faults_of(program, model, n));
  }
  if (found.empty()) found = faults_between(programs, batch);
  return found;
}

}  // namespace partita::step
