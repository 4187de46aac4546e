/// Messages along the pipeline, by one rule for all schedules: a receive is posted one pass before its
/// consumer and waited for just before it; a send is posted after its producer; an activation's send is
/// waited for just before the backward pass of the same (chunk, micro-batch), where there is one; other sends
/// before a third buffer of their boundary would be needed; all that remains before the update.
#pragma once

#include <deque>
#include <tuple>

#include "assembly.hpp"

namespace partita::step {

class Messages {
 public:
  explicit Messages(Assembly& assembly) : a_(assembly) {}

  /// Starts the receive of what a pass consumes, if another stage produces it.
  void post_receive(const Action&);
  /// Waits for it.
  void wait_received(const Action&);
  /// Sends the values of a chunk on, or its gradients back.
  void send_values(ChunkId chunk, MicrobatchId microbatch, SlotId slot) {
    send(Way::forward, chunk, microbatch, slot);
  }
  void send_gradients(ChunkId chunk, MicrobatchId microbatch, SlotId slot) {
    send(Way::backward, chunk, microbatch, slot);
  }
  /// Waits until the values of a chunk up to a micro-batch have been sent.
  void wait_values_sent(ChunkId chunk, MicrobatchId microbatch);
  /// Waits until one of the two buffers of a boundary is free.
  void free_value_buffer(ChunkId chunk) { free_a_buffer(Way::forward, chunk); }
  void free_gradient_buffer(ChunkId chunk) { free_a_buffer(Way::backward, chunk); }
  /// Waits for all that has been sent.
  void wait_all_sent();

 private:
  enum class Way { forward, backward };
  struct Sent {
    MicrobatchId microbatch;
    TransferId transfer;
  };
  using Sends = std::deque<Sent>;

  [[nodiscard]] bool receives(const Action&) const;
  static Way way_of(const Action& a) { return a.pass == Pass::forward ? Way::forward : Way::backward; }
  TransferId add_message(collective::Operation, Way, ChunkId chunk, MicrobatchId microbatch, SlotId slot);
  void send(Way, ChunkId chunk, MicrobatchId microbatch, SlotId slot);
  void wait_oldest(Sends&);
  void free_a_buffer(Way, ChunkId chunk);

  Assembly& a_;
  std::map<std::tuple<Way, ChunkId, MicrobatchId>, TransferId> posted_;  ///< receives
  std::map<std::pair<Way, ChunkId>, Sends> sends_;
};

}  // namespace partita::step
