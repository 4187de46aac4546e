#include "ptx/async_copy.hpp"

#include <cstring>

#include "machine.hpp"

namespace cuda_on_host {
namespace {

void perform(const DeferredCopy& c) {
  if (c.present)
    std::memcpy(c.to, c.from, c.bytes);
  else
    std::memset(c.to, 0, c.bytes);
}

}  // namespace

void copy_async(void* shared, const void* global, std::size_t bytes, bool present) {
  if (reinterpret_cast<std::uintptr_t>(shared) % bytes != 0 ||
      (present && reinterpret_cast<std::uintptr_t>(global) % bytes != 0))
    fault("cp.async of " + std::to_string(bytes) +
          " bytes from or to an address that is no multiple of them");
  const DeferredCopy c{shared, global, bytes, present};
  if (machine().at_once()) return perform(c);
  std::memset(shared, poison, bytes);  // nobody may read it before the wait
  this_thread().copies.add(c);
}

void copy_async_commit() { this_thread().copies.commit(); }

void copy_async_wait(unsigned unfinished) { this_thread().copies.wait(unfinished, perform); }

}  // namespace cuda_on_host
