/// What becomes of gradients: codes, norms, averages, updates.
#include <algorithm>
#include <array>

#include "checker.hpp"
#include "partita/step/compression.hpp"

namespace partita::step {

void Checker::check_combine(const Instruction& i) {
  const auto& parts = p_.chunk_gradients[*i.chunk];
  require_equal(std::ssize(i.reads), std::ssize(parts), "what is added");
  require_equal(std::ssize(i.writes), std::ssize(parts), "what is added to");
  for (const auto* slots : {&i.reads, &i.writes})
    for (std::size_t k = 0; k < std::min(slots->size(), parts.size()); ++k)
      require(in_vector((*slots)[k]) && (parts[k].first + parts[k].count).value() <= held((*slots)[k]),
              "leaves the gradients");
}

void Checker::check_sum(const Instruction& i) {
  const auto& bucket = p_.buckets[*i.bucket];
  require(i.reads == bucket.gradients && i.writes == std::vector{bucket.gradients.front()},
          "is of another bucket");
  for (const auto slot : i.reads) {
    require(in_vector(slot), "leaves what was pushed");
    require_equal(held(slot), bucket.share.value(), "a push");
  }
}

void Checker::check_answer(const Instruction& i, const Bucket& bucket) {
  require(i.reads == std::vector{bucket.parameters}, "is of another bucket");
  require(in_vector(i.writes.front()), "leaves the answers");
  require_equal(held(i.writes.front()), bucket.share.value(), "an answer");
  require_equal(held(bucket.parameters), bucket.share.value(), "its share");
}

void Checker::check_share(const Instruction& i) {
  const auto& bucket = p_.buckets[*i.bucket];
  if (std::ranges::count(bucket.answers, i.writes.front()) > 0) return check_answer(i, bucket);
  if (std::ssize(i.reads) != 1 || std::ssize(i.writes) != 1)
    return require(false, "copies more than one share");
  const bool gathers = i.reads.front() == bucket.parameters;
  const SlotId whole = gathers ? i.writes.front() : i.reads.front();
  const SlotId share = gathers ? i.reads.front() : i.writes.front();
  require(gathers ? p_.slots[whole].gathered_from == share
                  : whole == bucket.gradients.front() && share == bucket.kept_gradients,
          "is of another bucket");
  require(in_vector(share) && (gathers || in_vector(whole)), "leaves parameters or gradients");
  require_equal(held(whole), bucket.count.value(), "its bucket");
  require_equal(held(share), bucket.share.value(), "its share");
}

void Checker::check_average(const Instruction& i) {
  const auto& bucket = p_.buckets[*i.bucket];
  if (!bucket.averaging) return require(false, "is of a bucket that is not averaged");
  const auto& a = *bucket.averaging;
  require(i.in == StepKinds{StepKind::averaging}, "is in other steps than those that average");
  require_equal(held(bucket.parameters), bucket.count.value(), "what is averaged");
  auto expected = i.phase == Phase::finish ? a.reset_states : std::vector{bucket.parameters};
  if (i.phase == Phase::none)
    expected.insert(expected.end(), a.averaged_states.begin(), a.averaged_states.end());
  else if (a.anchor && a.velocity)
    expected.insert(expected.end(), {bucket.parameters, *a.anchor, *a.velocity});
  require(i.writes == expected && i.reads == expected, "is of another bucket");
  for (const auto slot : i.writes) {
    require(in_vector(slot), "leaves what it averages");
    require_equal(held(slot), bucket.count.value(), "what goes with the parameters");
  }
}

SlotId Checker::used_gradients(const Instruction& i, const Bucket& bucket) const {
  const bool second = p_.cadence.is_delayed && i.in.has(StepKind::even);
  if (i.turn && !bucket.coding) return bucket.gradients[static_cast<std::size_t>(i.turn->worker)];
  return bucket.kept_gradients.value_or(bucket.gradients[second ? 1 : 0]);
}

/// Gradients, or losses, and the message in their place.
void Checker::check_masked(const Instruction& i) {
  const bool encodes = i.kind == Kind::encode;
  const auto &plain = encodes ? i.reads : i.writes, &messages = encodes ? i.writes : i.reads;
  if (std::ssize(plain) != 1 || std::ssize(messages) != 1) return require(false, "is of more than one sum");
  if (!i.bucket) {
    require(
        p_.secret_losses && messages.front() == p_.secret_losses->message && plain.front() == p_.metric_slot,
        "is of other sums");
    require_equal(held(p_.metric_slot), 2, "the sums of losses");
    return require_equal(held(messages.front()), 5, "what is sent in their place");
  }
  const auto& bucket = p_.buckets[*i.bucket];
  if (!bucket.coding) return require(false, "is of a bucket without codes");
  const auto& masked = bucket.coding->masked;
  const auto buffer = std::ranges::find(masked, messages.front()) - masked.begin();
  require(buffer < std::ssize(masked) && plain.front() == bucket.gradients[static_cast<std::size_t>(buffer)],
          "is of another bucket");
  require_equal(held(plain.front()), bucket.count.value(), "its bucket");
  require_equal(held(messages.front()), bucket.count.value(), "its message");
}

void Checker::check_code(const Instruction& i) {
  if (p_.compression.is_secure()) return check_masked(i);
  const auto& bucket = p_.buckets[*i.bucket];
  if (!bucket.coding) return require(false, "is of a bucket without codes");
  if (p_.servers > 0) return check_pushes(i, bucket);
  const auto& c = *bucket.coding;
  const auto is_own = [&](SlotId s) {
    return std::ranges::count(bucket.gradients, s) > 0 || s == p_.loss_scale_slot ||
           std::ranges::count(
               std::array{c.residual, c.to_owners, c.from_ranks, c.to_all, c.left, c.right, c.basis},
               std::optional(s)) > 0;
  };
  for (const auto* slots : {&i.reads, &i.writes})
    require(std::ranges::all_of(*slots, is_own), "is of another bucket");
  require_equal(held(bucket.gradients.front()), bucket.count.value(), "its bucket");
  if (c.residual) require(in_vector(*c.residual), "leaves the residuals");
  if (c.residual) require_equal(held(c.residual), bucket.count.value(), "its residual");
  if (c.basis) require(in_vector(*c.basis), "leaves the basis");
  if (p_.compression.codec == kernels::Codec::powersgd) {
    std::int64_t left = 0, right = 0;
    for (const auto& tensor : factored_of(p_, bucket))
      left += tensor.in_left().value(), right += tensor.in_right().value();
    require_equal(held(c.left), left, "its left factors");
    require_equal(held(c.right), right, "its right factors");
    require_equal(held(c.basis), right, "its basis");
    return;
  }
  const int ranks = p_.grid.along(bucket.axis);
  if (c.to_all) require_equal(held(c.to_all), cuts_to_all(p_, bucket).back(), "what all are told");
  for (int place = 0; place < ranks && c.to_owners; ++place) {
    require(held(c.to_owners) >= cuts_to_owners(p_, bucket).back(), "what owners are told has no room");
    require(held(c.from_ranks) >= cuts_from_ranks(p_, bucket, place).back(), "what ranks tell has no room");
  }
}

/// Of a worker all that it pushes, of a server what one worker did.
void Checker::check_pushes(const Instruction& i, const Bucket& bucket) {
  const auto& c = *bucket.coding;
  const bool encodes = i.kind == Kind::encode;
  const auto& codes = encodes ? i.writes : i.reads;
  require(encodes != p_.serves(), "is another rank's to do");
  require((encodes ? i.reads : i.writes).front() == bucket.gradients.front(), "is of another bucket");
  require_equal(held(bucket.gradients.front()), (p_.serves() ? bucket.share : bucket.count).value(),
                "its gradients");
  if (c.residual) require(in_vector(*c.residual), "leaves the residuals");
  if (c.residual) require_equal(held(c.residual), bucket.count.value(), "its residual");
  for (std::size_t k = 0; k < (encodes ? c.pushes.size() : 1); ++k) {
    const int server = p_.serves() ? p_.at.data : p_.workers() + static_cast<int>(k);
    require(encodes ? codes[k] == c.pushes[k] : std::ranges::count(c.pushes, codes[k]) == 1,
            "is of other pushes");
    require(!p_.serves() || in_vector(codes[k]), "leaves the messages");
    require(!i.turn || codes[k] == c.pushes[static_cast<std::size_t>(i.turn->worker)], "is of another turn");
    require_equal(held(codes[k]), bytes_of(parts_of_push(p_, bucket, server)), "a push");
  }
}

void Checker::check_update(const Instruction& i) {
  const auto& bucket = p_.buckets[*i.bucket];
  const bool takes_norms = i.phase == Phase::statistics;
  const SlotId gradients = used_gradients(i, bucket);
  std::vector reads{gradients, i.turn ? i.reads[1] : p_.metric_slot};
  if (p_.scale_slot && !i.turn) reads.push_back(*p_.scale_slot);
  if (takes_norms) reads.push_back(bucket.parameters);
  const SlotId totals = bucket.tensor_squares.value_or(SlotId()),
               sums = bucket.share_squares.value_or(totals);
  if (i.phase == Phase::finish) reads.push_back(sums);
  std::vector writes = takes_norms ? std::vector{gradients, sums} : std::vector{bucket.parameters};
  if (i.phase == Phase::finish && bucket.share_squares) writes.push_back(totals);
  if (i.reads != reads || i.writes != writes)
    return require(false, "is of another bucket, or does not read the loss and what clips");
  require((i.phase == Phase::none) != bucket.tensor_squares.has_value(),
          "has no norms, or does not use them");
  if (bucket.tensor_squares)
    require_equal(held(*bucket.tensor_squares), 2 * std::ssize(bucket.tensors), "the norms of its tensors");
  if (bucket.share_squares)
    require_equal(held(*bucket.share_squares), 2 * std::ssize(bucket.tensors) * p_.grid.along(bucket.axis),
                  "the sums of shares");
  Elements parameters{};
  for (const auto u : bucket.units)
    parameters += p_.parameters[u].count();
  require(in_vector(bucket.parameters), "leaves the parameters");
  require(in_vector(gradients), "leaves the gradients");
  require_equal(bucket.count.value(), parameters.value(), "its bucket");
  const auto parameters_of_rank = p_.holds_share(bucket) ? bucket.share : bucket.count;
  require_equal(held(bucket.parameters), parameters_of_rank.value(), "its parameters");
  const bool of_share = bucket.kept_gradients || p_.serves();
  require_equal(held(gradients), (of_share ? bucket.share : bucket.count).value(), "its gradients");
  require_equal(held(reads[1]), 2, "the sums of losses");
}

void Checker::check_norm(const Instruction& i) {
  if (!p_.squares_slot || !p_.scale_slot) return require(false, "has no place for its sums");
  const SlotId squares = *p_.squares_slot, scale = *p_.scale_slot;
  const auto ranks =
      p_.split == Split::none ? std::int64_t{p_.grid.pipeline} * p_.grid.tensor : p_.grid.size();
  require_equal(held(squares), ranks * p_.norm_parts, "the sums of squares");
  require_equal(held(scale), 2, "the norm");
  if (i.phase == Phase::finish) {
    std::vector reads{squares}, writes{scale};
    if (p_.loss_scale_slot) reads.push_back(*p_.loss_scale_slot), writes.push_back(*p_.loss_scale_slot);
    return require(i.reads == reads && i.writes == writes, "is of other sums");
  }
  require(i.writes == std::vector{squares}, "adds to other sums");
  if (!i.bucket) return;
  const auto& bucket = p_.buckets[*i.bucket];
  require(i.reads == std::vector{used_gradients(i, bucket)}, "is of another bucket");
}

}  // namespace partita::step
