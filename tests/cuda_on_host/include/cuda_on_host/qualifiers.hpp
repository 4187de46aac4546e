/// CUDA's keywords as ordinary C++: a kernel is a function that is called once for each thread.
#pragma once

#define __global__
#define __device__
#define __host__
#define __constant__ static
/// Blocks run one after another, so one object serves them all. Two blocks of a cluster would share it:
/// there, only dynamic shared memory may be used.
#define __shared__ static
#define __managed__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __maxnreg__(...)
#define __grid_constant__
#define __cluster_dims__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
