/// Ranges that are counted (cuda_on_host::counts) and otherwise ignored.
#pragma once

int nvtxRangePushA(const char* name);
int nvtxRangePop();
void nvtxMarkA(const char* name);
