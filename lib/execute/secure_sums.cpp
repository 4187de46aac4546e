/// Public keys go round a ring: 32(p − 1) bytes a rank.
#include "secure_sums.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "partita/base/error.hpp"
#include "partita/step/compression.hpp"

namespace partita::execute {

using kernels::Elements;
using kernels::Fit;
using topology::Axis;

namespace {

/// Behind the binary point of a sum of losses, which is of 64 bits.
constexpr int bits_of_losses = 24;

/// The number of the losses' message; those of buckets are their own.
constexpr std::uint32_t losses = UINT32_MAX;

/// Where in that message what stands (`step::SecretLosses`).
enum Place : std::size_t { loss, hits, lost_losses, too_large, not_finite };

std::vector<base::Key> exchange_keys(comm::Communicator& group, const base::Key& own) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(base::Key));
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size * group.size()));
  const auto at = [&](int rank) { return bytes.begin() + rank * size; };
  std::ranges::copy(own, at(group.rank()));
  const View all{std::span(bytes)};
  const auto gather = group.plan({.operation = collective::Operation::all_gather,
                                  .type = kernels::DataType::uint8,
                                  .elements = std::ssize(bytes),
                                  .cuts = collective::even_cuts(group.size(), std::ssize(bytes))},
                                 all, all, collective::Purpose::gradient);
  gather->start();
  gather->wait();
  std::vector<base::Key> keys(static_cast<std::size_t>(group.size()));
  for (int rank = 0; rank < group.size(); ++rank)
    std::copy_n(at(rank), size, keys[static_cast<std::size_t>(rank)].begin());
  return keys;
}

void fill(View view, double value) {
  if (view.type() == kernels::DataType::float64)
    std::ranges::fill(view.as<double>(), value);
  else
    std::ranges::fill(view.as<float>(), static_cast<float>(value));
}

}  // namespace

SecureSums::SecureSums(const step::Program& program, comm::Axes& axes, std::string_view config_hash)
    : program_(program), states_(program.slots.size()) {
  auto& ledger = axes.world().ledger();
  const auto activity = ledger.activity();
  ledger.set_activity(collective::Activity::setup);
  const base::KeyPair own;
  for (const auto axis : step::secure_axes(program)) {
    auto& group = axes.along(axis);
    masks_.try_emplace(axis, own, group.rank(), exchange_keys(group, own.public_key()), config_hash,
                       to_string(axis));
  }
  ledger.set_activity(activity);
}

void SecureSums::add_masks(Axis axis, View message, std::uint32_t number) {
  if (const auto of_axis = masks_.find(axis); of_axis != masks_.end())
    of_axis->second.add(message, {.step = pass_, .message = number});
}

void SecureSums::encode(const step::Instruction& i, kernels::ConstView plain, View message) {
  if (!i.bucket) return encode_losses(plain, message);
  const auto axis = program_.buckets[*i.bucket].axis;
  const auto largest = kernels::largest_term(program_.grid.along(axis));
  states_[i.writes.front()] = {.is_sent = true,
                               .fit = to_fixed_point(plain, program_.compression.bits, largest, message)};
  add_masks(axis, message, static_cast<std::uint32_t>(i.bucket->value()));
}

void SecureSums::decode(const step::Instruction& i, kernels::ConstView message, View plain) {
  if (!i.bucket) return decode_losses(message, plain);
  const auto& state = states_[i.reads.front()];
  if (!state.is_sent) return;
  base::expect(state.is_of_all, "ranks have told each other whose gradients are lost", *i.bucket);
  if (state.fit == Fit::all) return kernels::from_fixed_point(message, program_.compression.bits, plain);
  fill(plain, state.fit == Fit::too_large ? INFINITY : NAN);
}

void SecureSums::encode_losses(kernels::ConstView own, View message) {
  const auto sums = own.as<double>();
  const auto words = message.as<std::int64_t>();
  const double largest =
      std::ldexp(1, 62 - bits_of_losses) / program_.grid.along(program_.secret_losses->axis);
  const bool is_lost = !(std::fabs(sums[loss]) <= largest);
  std::ranges::fill(words, 0);
  words[loss] = is_lost ? 0 : std::llround(std::ldexp(sums[loss], bits_of_losses));
  words[hits] = std::llround(sums[hits]);
  words[lost_losses] = is_lost;
  for (const auto& state : states_) {
    if (!state.is_sent || state.is_of_all) continue;
    words[too_large] |= state.fit == Fit::too_large;
    words[not_finite] |= state.fit == Fit::not_finite;
  }
  add_masks(program_.secret_losses->axis, message, losses);
}

void SecureSums::decode_losses(kernels::ConstView message, View sum) {
  const auto words = message.as<std::int64_t>();
  const auto sums = sum.as<double>();
  sums[loss] = words[lost_losses] > 0 ? NAN : std::ldexp(static_cast<double>(words[loss]), -bits_of_losses);
  sums[hits] = static_cast<double>(words[hits]);
  const auto fit = words[not_finite] > 0 ? Fit::not_finite : words[too_large] > 0 ? Fit::too_large : Fit::all;
  for (auto& state : states_)
    if (state.is_sent && !state.is_of_all) state.is_of_all = true, state.fit = fit;
}

}  // namespace partita::execute
