/// Which copies must be there before a round and which are issued behind it. Without mirrors every question
/// is answered with yes and nothing is copied.
#include "staged.hpp"

namespace partita::comm {

Staged::Staged(const Buffer& in, const Buffer& out, std::vector<collective::StagedRound> rounds) {
  if (!in.mirror && !out.mirror) return;
  base::expect(in.mirror && out.mirror, "both buffers of an operation lie on the device, or none");
  in_ = in.mirror, out_ = out.mirror;
  rounds_ = std::move(rounds);
  if (in_->copies()) elements_ = collective::staged_elements(rounds_);
  std::vector<topology::Range> fetches;
  for (const auto& round : rounds_) {
    fetches.insert(fetches.end(), round.fetch.begin(), round.fetch.end());
    fetches_before_.push_back(fetches.size());
  }
  in_->plan_fetches(fetches);
  if (out_ != in_) out_->plan_fetches({});
}

Staged Staged::whole(const Buffer& buffer, bool reads, bool writes) {
  collective::StagedRound round;
  const topology::Range all{0, buffer.view.size().value()};
  if (reads && !all.empty()) round.fetch = {all};
  if (writes && !all.empty()) round.store = {all};
  return {buffer, buffer, {round}};
}

void Staged::begin() {
  each([](Mirror& mirror) { mirror.begin(); });
}

bool Staged::ready(std::size_t round) {
  if (!is_used()) return true;
  return in_->idle() && out_->idle() && in_->fetched(fetches_before_[round]);
}

void Staged::store(std::size_t round) {
  if (!is_used()) return;
  for (const auto& range : rounds_[round].store)
    out_->store(range);
}

void Staged::await() {
  each([](Mirror& mirror) { mirror.await(); });
}

bool Staged::caught_up() { return !is_used() || (in_->caught_up() && out_->caught_up()); }

void Staged::release() {
  each([](Mirror& mirror) { mirror.release(); });
}

}  // namespace partita::comm
