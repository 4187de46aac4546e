/// The copies between a device and the host that a planned operation makes around its rounds, where its
/// buffers are mirrors.
#pragma once

#include "partita/collective/staging.hpp"
#include "partita/comm/communicator.hpp"

namespace partita::comm {

class Staged {
 public:
  /// Buffers of the host: nothing is copied.
  Staged() = default;
  /// `rounds` as `collective::staging_of` gives them; `in` and `out` are the same for operations in place.
  Staged(const Buffer& in, const Buffer& out, std::vector<collective::StagedRound> rounds);
  /// One round that reads or writes all of the buffer.
  static Staged whole(const Buffer&, bool reads, bool writes);

  [[nodiscard]] bool is_used() const { return in_ || out_; }
  /// Of one run.
  [[nodiscard]] Elements elements() const { return elements_; }

  void begin();
  /// Whether round `round` may begin.
  [[nodiscard]] bool ready(std::size_t round);
  /// Round `round` is over.
  void store(std::size_t round);
  void await();
  [[nodiscard]] bool caught_up();
  void release();

 private:
  template <class Call>
  void each(Call call) {
    if (in_) call(*in_);
    if (out_ && out_ != in_) call(*out_);
  }
  Mirror* in_ = nullptr;
  Mirror* out_ = nullptr;
  std::vector<collective::StagedRound> rounds_;
  std::vector<std::size_t> fetches_before_;  ///< those that a round needs, itself included
  Elements elements_{};
};

}  // namespace partita::comm
