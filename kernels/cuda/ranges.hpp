/// Named ranges in a profiler's timeline.
#pragma once

namespace partita::kernels::cuda {

void push_range(const char* name);
void pop_range();

}  // namespace partita::kernels::cuda
