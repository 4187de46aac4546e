/// Stands in for the CUDA toolkit's header where CUDA code is compiled for the host.
#pragma once

#include "cuda_on_host/device_functions.hpp"
#include "cuda_on_host/execution.hpp"
#include "cuda_on_host/qualifiers.hpp"
#include "cuda_on_host/runtime_api.hpp"
#include "cuda_on_host/vector_types.hpp"
