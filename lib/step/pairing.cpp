/// Compares the members of each transfer with its first one, by what each of them moves in a batch.
#include "pairing.hpp"

namespace partita::step {
namespace {

using collective::Operation;

/// Whether two halves of a message, or two members of a collective, move what belongs together.
class Pairing {
 public:
  Pairing(const ProgramsByRank& programs, std::int64_t batch) : programs_(programs), batch_(batch) {}

  [[nodiscard]] bool fits(const Counterparts::Member& a, const Counterparts::Member& b) const {
    const auto &one = transfer(a), &other = transfer(b);
    if (is_message(one)) return elements(a) == elements(b);
    if (one.operation != other.operation || one.purpose != other.purpose) return false;
    if (one.operation != Operation::all_to_all || one.coded) return elements(a) == elements(b);
    return piece(a, b, End::send) == piece(b, a, End::receive) &&
           piece(b, a, End::send) == piece(a, b, End::receive);
  }

 private:
  [[nodiscard]] const Program& program(const Counterparts::Member& m) const {
    return *programs_[static_cast<std::size_t>(m.rank)];
  }
  [[nodiscard]] const Transfer& transfer(const Counterparts::Member& m) const {
    return program(m).transfers[m.transfer];
  }
  [[nodiscard]] std::int64_t samples(const Counterparts::Member& m) const {
    return program(m).samples_of(transfer(m).microbatch, m.rank, batch_);
  }
  [[nodiscard]] Elements elements(const Counterparts::Member& m) const {
    return program(m).payload(transfer(m), samples(m));
  }
  /// Elements that `m` sends to, or receives from, `peer`.
  [[nodiscard]] std::int64_t piece(const Counterparts::Member& m, const Counterparts::Member& peer,
                                   End end) const {
    const auto& p = program(m);
    const auto& c = p.conversions[*transfer(m).conversion];
    const int me = p.at.tensor, other = program(peer).at.tensor;
    return end == End::send ? piece_elements(c, me, other, p.grid.tensor, samples(m))
                            : piece_elements(c, other, me, p.grid.tensor, samples(m));
  }

  const ProgramsByRank& programs_;
  std::int64_t batch_;
};

}  // namespace

std::vector<std::string> faults_between(const ProgramsByRank& programs, std::int64_t batch) {
  std::vector<std::string> found;
  const Counterparts counterparts(programs);
  const Pairing pairing(programs, batch);
  for (const auto g : counterparts.groups().ids()) {
    const auto members = counterparts.members(g);
    const auto named = [](const Counterparts::Member& m) {
      return "transfer " + std::to_string(m.transfer.value()) + " of rank " + std::to_string(m.rank);
    };
    if (!counterparts.groups()[g].complete)
      found.push_back(named(members.front()) + " lacks its counterpart");
    else
      for (const auto& other : members.subspan(1))
        if (!pairing.fits(members.front(), other))
          found.push_back(named(members.front()) + " and " + named(other) + " do not fit together");
  }
  return found;
}

}  // namespace partita::step
