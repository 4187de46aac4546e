/// Copies that are seen only after a wait. In order `forward` they are done in the wait, in `reverse` at
/// once, in `random` either: who reads too early, or overwrites the source, finds wrong values in one of
/// them.
///
/// Source: PTX ISA 9.0, "cp.async", "cp.async.commit_group", "cp.async.wait_group".
#pragma once

#include <cstddef>

namespace cuda_on_host {
void copy_async(void* shared, const void* global, std::size_t bytes, bool present);
void copy_async_commit();
void copy_async_wait(unsigned unfinished);
}  // namespace cuda_on_host

namespace partita::ptx {

inline void copy_async_4(void* shared, const void* global, bool present) {
  cuda_on_host::copy_async(shared, global, 4, present);
}
inline void copy_async_8(void* shared, const void* global, bool present) {
  cuda_on_host::copy_async(shared, global, 8, present);
}
inline void copy_async_16(void* shared, const void* global, bool present) {
  cuda_on_host::copy_async(shared, global, 16, present);
}
inline void copy_async_commit() { cuda_on_host::copy_async_commit(); }
template <int N>
void copy_async_wait() {
  cuda_on_host::copy_async_wait(N);
}

}  // namespace partita::ptx
