/// Work done in slices between other work, on the thread that owns the data: a coroutine that yields after
/// each bounded piece. Checkpoints are written so, between the steps of a training.
#pragma once

#include <coroutine>
#include <exception>
#include <utility>

namespace partita::base {

/// What `co_yield` takes: the end of a slice.
struct NextSlice {};
inline constexpr NextSlice next_slice{};

/// Owns the coroutine; nothing runs before the first `advance`. Parameters of a coroutine live in its frame
/// only when taken by value.
class Sliced {
 public:
  struct promise_type {
    std::exception_ptr error;
    Sliced get_return_object() { return Sliced(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(NextSlice) noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { error = std::current_exception(); }
  };

  Sliced() = default;
  Sliced(Sliced&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  Sliced& operator=(Sliced&& other) noexcept {
    std::swap(coroutine_, other.coroutine_);
    return *this;
  }
  ~Sliced() {
    if (coroutine_) coroutine_.destroy();
  }

  [[nodiscard]] bool is_done() const { return !coroutine_ || coroutine_.done(); }
  /// Runs one slice; true when the work is over. Throws what the work throws, after which it is over.
  bool advance() {
    if (is_done()) return true;
    coroutine_.resume();
    if (coroutine_.promise().error)
      std::rethrow_exception(std::exchange(coroutine_.promise().error, nullptr));
    return coroutine_.done();
  }
  /// All that is left, in one go.
  void finish() {
    while (!advance()) {
    }
  }

 private:
  explicit Sliced(std::coroutine_handle<promise_type> coroutine) : coroutine_(coroutine) {}
  std::coroutine_handle<promise_type> coroutine_;
};

}  // namespace partita::base
