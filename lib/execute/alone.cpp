/// Transfers on their own: what each takes when nothing runs beside it, by which the ledger knows what a step
/// hides of it.
#include <algorithm>
#include <cmath>

#include "bound.hpp"
#include "partita/step/counterparts.hpp"
#include "secure_sums.hpp"

namespace partita::execute {

namespace {

/// The shortest of a few runs on its own.
double alone_seconds(comm::Collective& transfer, kernels::Device& device, const comm::Communicator& world) {
  double fastest = INFINITY;
  for (int repetition = 0; repetition < 3; ++repetition) {
    if (auto* const clock = world.virtual_clock()) clock->set(0);  // as if all ranks came together
    const double begin = world.now_seconds();
    transfer.start();
    transfer.wait();
    device.synchronize();
    fastest = std::min(fastest, world.now_seconds() - begin);
  }
  return fastest;
}

/// What a view on the host holds now.
class Values {
 public:
  explicit Values(View view) : view_(view) {
    const auto* const bytes = static_cast<const std::byte*>(view.data());
    if (!view.empty()) values_.assign(bytes, bytes + view.bytes().value());
  }
  [[nodiscard]] bool empty() const { return values_.empty(); }
  void put_back() const { std::ranges::copy(values_, static_cast<std::byte*>(view_.data())); }

 private:
  View view_;
  std::vector<std::byte> values_;
};

}  // namespace

/// Whether a transfer adds up in place what a step does not write anew before it uses it.
bool Executor::reduces_what_stays(const step::Transfer& t) const {
  if (t.operation != collective::Operation::all_reduce &&
      t.operation != collective::Operation::reduce_scatter)
    return false;
  const auto role = program_.slots[t.slot].role;
  const bool waits = program_.is_carried(t);
  return waits || role == step::SlotRole::parameters || role == step::SlotRole::optimizer_state;
}

/// Pushes and answers. These arrive where parameters lie, which are put back.
void Executor::calibrate_servers(Bound& bound,
                                 const std::map<std::pair<int, int>, step::TransferId>& messages) {
  for (const auto& [order, i] : messages) {
    const auto& t = program_.transfers[i];
    const View view = t.operation == collective::Operation::receive ? bound.slot(t.slot) : View();
    const Values kept(view);
    transfer(bound, i).set_alone_seconds(alone_seconds(transfer(bound, i), device_, axes_.world()));
    kept.put_back();
  }
}

void Executor::calibrate(std::int64_t batch) {
  Bound& bound = bind(batch);
  const auto begin = clock_ ? clock_->now() : 0;
  const comm::VirtualClock::Run runs(clock_);
  if (secure_sums_)  // what transfers find there now, nothing has masked
    for (auto* const memory : {&activations_, &messages_})
      std::ranges::fill(memory->bytes(), std::byte{});
  step::MicrobatchId largest;  // which stands for all
  for (const auto j : program_.microbatch_ids())
    if (bound.samples(j, false).size() > bound.samples(largest, false).size()) largest = j;
  std::map<int, double> of_boundary;         // by direction and boundary
  std::map<int, step::TransferId> messages;  // in order of their tags, which both ends go through alike
  std::map<std::pair<int, int>, step::TransferId> of_servers;  // likewise, of each peer in its turn
  for (const auto i : program_.transfers.ids()) {
    const auto& t = program_.transfers[i];
    if (step::is_message(t)) {
      if (t.microbatch == largest) messages[*t.tag] = i;
      if (!t.microbatch) of_servers[{*t.tag, *t.peer}] = i;
      continue;
    }
    const Values kept(reduces_what_stays(t) ? bound.slot(t.slot) : View());
    axes_.along(t.axis).barrier();
    transfer(bound, i).set_alone_seconds(alone_seconds(transfer(bound, i), device_, axes_.world()));
    if (kept.empty()) continue;
    axes_.along(t.axis).barrier();  // nobody reads it any more
    kept.put_back();
  }
  for (const auto& [tag, i] : messages)
    of_boundary[tag / program_.microbatches] = alone_seconds(transfer(bound, i), device_, axes_.world());
  for (const auto i : program_.transfers.ids())
    if (const auto& t = program_.transfers[i]; step::is_message(t) && t.microbatch)
      transfer(bound, i).set_alone_seconds(of_boundary.at(*t.tag / program_.microbatches));
  calibrate_servers(bound, of_servers);
  if (clock_) clock_->set(begin);
}

}  // namespace partita::execute
