#include "machine.hpp"

namespace cuda_on_host {

void end_of_thread(Thread&) {}

}  // namespace cuda_on_host
