/// Sends and receives along an axis, planned once and run any number of times.
#include "messages.hpp"
#include "shared_rounds.hpp"

namespace partita::comm {
namespace {

using collective::Operation;

/// Tags of collectives lie below.
constexpr int first_tag = 1 << 15;

void require_tag(MPI_Comm communicator, int tag) {
  int* most = nullptr;
  int found = 0;
  check(MPI_Comm_get_attr(communicator, MPI_TAG_UB, &most, &found), "MPI_Comm_get_attr");
  base::expect(found == 0 || tag <= *most - first_tag, "MPI has a tag for every message of a step; most",
               tag);
}

/// One message; a buffer of no elements sends none, and neither does its peer's.
class Message final : public BookedCollective {
 public:
  Message(const std::shared_ptr<Communicator::State>& owner, const Description& description,
          const Buffer& buffer, int peer, int tag)
      : BookedCollective(owner, description,
                         traffic_of(rounds_of_message(*owner, description, peer), owner->rank,
                                    bytes_of(description.type, Elements(1))),
                         peers_of(rounds_of_message(*owner, description, peer), owner->rank,
                                  bytes_of(description.type, Elements(1))),
                         Staged::whole(buffer, description.operation == Operation::send,
                                       description.operation == Operation::receive)),
        buffer_(buffer.view),
        peer_(peer),
        tag_(first_tag + tag) {
    require_tag(owner->communicator.get(), tag);
    show_message(peer, tag);
  }
  ~Message() override {
    MPI_Request none = MPI_REQUEST_NULL;
    const bool sends = description().operation == Operation::send;
    abandon(sends ? none : request_, sends ? request_ : none);
  }

 private:
  void begin() override { request_ = MPI_REQUEST_NULL, posted_ = false; }

  /// False while the buffer is on its way from the device.
  bool post() {
    if (posted_) return true;
    if (!staged_.ready(0)) return false;
    posted_ = true;
    if (buffer_.empty()) return true;
    if (clock()) enter();
    if (description().operation == Operation::send)
      check(post_send(buffer_.data(), buffer_.bytes().value(), peer_, tag_, state().communicator.get(),
                      &request_),
            "MPI_Isend");
    else
      check(post_receive(buffer_.data(), buffer_.bytes().value(), peer_, tag_, state().communicator.get(),
                         &request_),
            "MPI_Irecv");
    return true;
  }
  void enter() {
    const topology::Range all{0, buffer_.size().value()};
    if (description().operation == Operation::send)
      clock()->enter({.send_to = peer_, .send = all}, tag_);
    else
      clock()->enter({.receive_from = peer_, .receive = all}, tag_);
  }
  bool step() override {
    if (!post()) return false;
    if (clock() && !clock()->is_over()) return false;
    int complete = 0;
    MPI_Status status;
    const int code = MPI_Test(&request_, &complete, &status);
    const bool receives = description().operation == Operation::receive && !buffer_.empty();
    if (code == MPI_SUCCESS && (complete == 0 || !receives)) return complete != 0;
    if (!receives) check(code, "MPI_Test");
    require_whole(code, status);
    staged_.store(0);
    return true;
  }

  /// Demands of a run that is complete, or has failed, that the sender's buffer had the length of this one.
  void require_whole(int code, MPI_Status& status) {
    int kind = MPI_SUCCESS;
    if (code != MPI_SUCCESS) MPI_Error_class(code, &kind);
    if (code != MPI_SUCCESS && kind != MPI_ERR_TRUNCATE) check(code, "MPI_Test");
    MPI_Count got = 0;
    check(MPI_Get_elements_x(&status, MPI_BYTE, &got), "MPI_Get_elements_x");
    if (code == MPI_SUCCESS && got == buffer_.bytes().value()) return;
    const std::string sender = std::to_string(shown().peer);
    throw base::ContractError(
        "counts differ: rank " + sender + " sends " +
        (code == MPI_SUCCESS ? std::to_string(got) : "more than " + std::to_string(buffer_.bytes().value())) +
        " bytes, this rank expects " + std::to_string(buffer_.bytes().value()) + " (" +
        std::to_string(buffer_.size().value()) + " elements) in receive #" + std::to_string(shown().number) +
        " from rank " + sender + " on " + std::string(to_string(state().axis)));
  }

  View buffer_;
  int peer_, tag_;
  MPI_Request request_ = MPI_REQUEST_NULL;
  bool posted_ = false;
};

/// Where peers reach each other's buffers no message is sent.
std::unique_ptr<Collective> message(const std::shared_ptr<Communicator::State>& state, const Description& d,
                                    const Buffer& buffer, int peer, int tag) {
  if (buffer.shared && peer != state->rank) return SharedRounds::message(state, d, buffer, peer, tag);
  return std::make_unique<Message>(state, d, buffer, peer, tag);
}

}  // namespace

collective::Rounds rounds_of_message(const Communicator::State& state, const Description& d, int peer) {
  return collective::rounds_of(
      {.operation = d.operation, .type = d.type, .elements = d.elements.value(), .peer = peer},
      {.rank = state.rank, .node_of = state.node_of});
}

std::unique_ptr<Collective> Communicator::plan_send(Buffer buffer, int to, int tag,
                                                    collective::Purpose purpose) {
  base::expect(to >= 0 && to < size() && tag >= 0, "a message has a peer and a tag", to, tag);
  const Description d{.operation = Operation::send,
                      .purpose = purpose,
                      .elements = buffer.view.size(),
                      .type = buffer.view.type()};
  return message(state_, d, buffer, to, tag);
}

std::unique_ptr<Collective> Communicator::plan_receive(Buffer buffer, int from, int tag,
                                                       collective::Purpose purpose) {
  base::expect(from >= 0 && from < size() && tag >= 0, "a message has a peer and a tag", from, tag);
  const Description d{.operation = Operation::receive,
                      .purpose = purpose,
                      .elements = buffer.view.size(),
                      .type = buffer.view.type()};
  return message(state_, d, buffer, from, tag);
}

}  // namespace partita::comm
