/// Runs the rounds of a collective: messages by MPI_Isend and MPI_Irecv, window rounds by loads, stores and
/// flags.
#include <algorithm>
#include <array>
#include <cstring>

#include "booked.hpp"
#include "combine.hpp"
#include "messages.hpp"

namespace partita::comm {
namespace {

using collective::MessageRound;
using collective::WindowRound;

/// Each rank's part of a plan's window begins with its flag; then two staging slots.
constexpr std::size_t flag_bytes = collective::window_line_bytes;

class RoundCollective final : public BookedCollective {
 public:
  RoundCollective(const std::shared_ptr<Communicator::State>& owner, Description description,
                  const Buffer& in, const Buffer& out, collective::Rounds rounds)
      : BookedCollective(
            owner, description, traffic_of(rounds, owner->rank, bytes_of(description.type, Elements(1))),
            peers_of(rounds, owner->rank, bytes_of(description.type, Elements(1))),
            {in, out,
             collective::staging_of(rounds, in.view.size().value(), in.view.data() == out.view.data())}),
        in_(in.view),
        out_(out.view),
        element_(kernels::size_of(description.type)),
        tag_(owner->take_tag()),
        rounds_(std::move(rounds)) {
    const auto memory = collective::memory_of(rounds_);
    scratch_.resize(static_cast<std::size_t>(memory.received * element_));
    prepare_window(memory.staged, description.in_window);
  }
  ~RoundCollective() override { abandon(requests_[0], requests_[1]); }

  Bytes buffer_bytes() const override {
    const auto window = window_.region ? window_bytes() : 0;
    return Bytes(static_cast<std::int64_t>(scratch_.size() + window));
  }

 private:
  [[nodiscard]] std::size_t window_bytes() const {
    return static_cast<std::size_t>(collective::window_bytes(static_cast<std::int64_t>(slot_bytes_)));
  }

  void prepare_window(std::optional<std::int64_t> staged, bool in_window) {
    if (!staged) return;
    slot_bytes_ = static_cast<std::size_t>(collective::slot_bytes(*staged * element_));
    // All ranks of a node stage as much (collective::memory_of); slots that differed would overlap, unseen.
    std::uint64_t most = slot_bytes_;
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Iallreduce(MPI_IN_PLACE, &most, 1, MPI_UINT64_T, MPI_MAX, state().node.get(), &request),
          "MPI_Iallreduce");
    state().wait_for_node(request);
    slot_bytes_ = most;
    window_ = state().lease(window_bytes());
    if (in_window) {
      buffers_ = state().region_of(in_.data());
      base::expect(buffers_ != nullptr, "a buffer planned as in the window lies there");
      buffer_offset_ = static_cast<const std::byte*>(in_.data()) - buffers_->mine;
    }
  }

  void begin() override { round_ = 0, entered_ = false; }

  bool step() override {
    while (round_ < rounds_.size()) {
      if (!entered_ && !staged_.ready(round_)) return false;
      const auto& round = rounds_[round_];
      const auto* message = std::get_if<MessageRound>(&round);
      if (!(message ? run(*message) : run(std::get<WindowRound>(round)))) return false;
      staged_.store(round_);
      ++round_;
      entered_ = false;
    }
    return true;
  }

  bool run(const MessageRound& round) {
    if (!entered_) post(round);
    entered_ = true;
    int complete = 0;
    check(MPI_Testall(2, requests_.data(), &complete, MPI_STATUSES_IGNORE), "MPI_Testall");
    if (complete == 0 || (clock() && !clock()->is_over())) return false;
    if (round.receive_from >= 0 && round.combine != Combine::copy)
      combine_into(at(out_, round.receive.begin), scratch_.data(), round.receive.size(), out_.type(),
                   round.combine);
    return true;
  }

  void post(const MessageRound& round) {
    requests_ = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    if (round.receive_from >= 0 && !round.receive.empty()) {
      void* target = round.combine == Combine::copy ? at(out_, round.receive.begin) : scratch_.data();
      check(post_receive(target, round.receive.size() * element_, round.receive_from, tag_,
                         state().communicator.get(), &requests_[0]),
            "MPI_Irecv");
    }
    if (round.send_to >= 0 && !round.send.empty())
      check(post_send(at(in_, round.send.begin), round.send.size() * element_, round.send_to, tag_,
                      state().communicator.get(), &requests_[1]),
            "MPI_Isend");
    if (clock()) clock()->enter(round, tag_);
  }

  bool run(const WindowRound& round) {
    if (!entered_) enter(round);
    entered_ = true;
    for (; arrived_ < round.members.size(); ++arrived_)
      if (flag(round.members[arrived_]).load(std::memory_order_acquire) < epoch_) return false;
    if (clock() && !clock()->is_over()) return false;
    for (const auto& load : round.loads)
      run(load);
    for (const int peer : round.store_to)
      std::memcpy(
          buffers_->segments[static_cast<std::size_t>(peer)] + buffer_offset_ + round.store.begin * element_,
          at(out_, round.store.begin), static_cast<std::size_t>(round.store.size() * element_));
    return true;
  }

  void enter(const WindowRound& round) {
    if (round.next_slot) slot_ = 1 - slot_, slot_origin_ = round.stage_in.begin;
    if (!round.stage_in.empty())
      std::memcpy(slot_of(state().rank, round.stage_in.begin), at(in_, round.stage_in.begin),
                  static_cast<std::size_t>(round.stage_in.size() * element_));
    arrived_ = 0;
    flag(state().rank).store(++epoch_, std::memory_order_release);
    if (clock()) clock()->enter(round, tag_);
  }

  void run(const collective::WindowLoad& load) {
    sources_.clear();
    for (const int peer : load.from) {
      if (peer == state().rank)
        sources_.push_back(at(in_, load.range.begin));
      else if (buffers_)
        sources_.push_back(buffers_->segments[static_cast<std::size_t>(peer)] + buffer_offset_ +
                           load.range.begin * element_);
      else
        sources_.push_back(slot_of(peer, load.range.begin));
    }
    combine_sources(at(out_, load.range.begin), sources_, load.range.size(), out_.type(), load.combine);
  }

  std::byte* at(View view, std::int64_t element) const {
    return static_cast<std::byte*>(view.data()) + element * element_;
  }
  std::byte* slot_of(int peer, std::int64_t element) const {
    return window_.of(peer) + flag_bytes + slot_bytes_ * static_cast<unsigned>(slot_) +
           (element - slot_origin_) * element_;
  }
  std::atomic_ref<std::uint64_t> flag(int peer) const {
    return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(window_.of(peer)));
  }

  View in_, out_;
  std::int64_t element_;
  int tag_;
  collective::Rounds rounds_;
  std::vector<std::byte> scratch_;
  std::array<MPI_Request, 2> requests_{MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  std::size_t round_ = 0;
  bool entered_ = false;

  Lease window_;
  const Region* buffers_ = nullptr;  ///< where the caller's buffers lie, when in a window
  std::ptrdiff_t buffer_offset_ = 0;
  std::size_t slot_bytes_ = 0, arrived_ = 0;
  int slot_ = 0;
  std::int64_t slot_origin_ = 0;
  std::uint64_t epoch_ = 0;
  std::vector<const void*> sources_;
};

}  // namespace

std::unique_ptr<Collective> make_round_collective(const std::shared_ptr<Communicator::State>& state,
                                                  Description description, Buffer in, Buffer out,
                                                  collective::Rounds rounds) {
  return std::make_unique<RoundCollective>(state, description, in, out, std::move(rounds));
}

}  // namespace partita::comm
