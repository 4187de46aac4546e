/// Streams, events, graphs: work is done late, so that host code that does not wait is found.
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "device.hpp"

namespace {

using namespace cuda_on_host::testing;

__global__ void times(float* x, float factor) { *x *= factor; }
__global__ void plus(float* x, const float* y) { *x += *y; }

struct Streams : testing::Test {
  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t event = nullptr, other = nullptr;
  float* pinned = nullptr;
  void SetUp() override {
    for (auto* s : {&a, &b})
      ASSERT_EQ(cudaSuccess, cudaStreamCreateWithFlags(s, cudaStreamNonBlocking));
    for (auto* e : {&event, &other})
      ASSERT_EQ(cudaSuccess, cudaEventCreateWithFlags(e, cudaEventDefault));
    ASSERT_EQ(cudaSuccess, cudaMallocHost(&pinned, 4 * sizeof(float)));
    cuda_on_host::set_order(cuda_on_host::Order::forward);  // `random` may work ahead
  }
  void TearDown() override {
    for (auto* s : {a, b})
      cudaStreamDestroy(s);
    for (auto* e : {event, other})
      cudaEventDestroy(e);
    cudaFreeHost(pinned);
  }
  void fetch(const Floats& from, cudaStream_t stream) {
    ASSERT_EQ(cudaSuccess, cudaMemcpyAsync(pinned, from.data, 4, cudaMemcpyDeviceToHost, stream));
  }
};

TEST_F(Streams, WorkWaitsUntilSomethingAsks) {
  const Floats x({3});
  *pinned = -1;
  issue(times, {}, a, x.data, 5.0F);
  fetch(x, a);
  EXPECT_EQ(-1, *pinned);
  EXPECT_EQ(cudaSuccess, cudaStreamSynchronize(b));
  EXPECT_EQ(-1, *pinned) << "another stream's work is not this one's";
  EXPECT_EQ(cudaSuccess, cudaStreamSynchronize(a));
  EXPECT_EQ(15, *pinned);
}

TEST_F(Streams, PinnedMemoryIsReadLatePageableAtOnce) {
  const Floats x({0, 0});
  float pageable = 1;
  *pinned = 1;
  cudaMemcpyAsync(x.data, pinned, 4, cudaMemcpyHostToDevice, a);
  cudaMemcpyAsync(x.data + 1, &pageable, 4, cudaMemcpyHostToDevice, a);
  *pinned = pageable = 2;
  cudaStreamSynchronize(a);
  EXPECT_EQ((std::vector<float>{2, 1}), x.get());
}

TEST_F(Streams, OnlyEventsOrderStreams) {
  const Floats x({3});
  issue(times, {}, a, x.data, 5.0F);
  cudaEventRecord(event, a);
  fetch(x, b);
  cudaStreamSynchronize(b);
  EXPECT_EQ(3, *pinned);
  cudaStreamWaitEvent(b, event, 0);
  fetch(x, b);
  cudaStreamSynchronize(b);
  EXPECT_EQ(15, *pinned);
}

TEST_F(Streams, QueriesAreNotReadyAtFirstAndGetThere) {
  const Floats x({1});
  for (int i = 0; i < 10; ++i)
    issue(times, {}, a, x.data, 2.0F);
  cudaEventRecord(event, a);
  EXPECT_EQ(cudaErrorNotReady, cudaEventQuery(event));
  int queries = 0;
  while (cudaEventQuery(event) == cudaErrorNotReady)
    ++queries;
  EXPECT_LT(queries, 10);
  EXPECT_EQ(1024, x.get()[0]);
  EXPECT_EQ(cudaSuccess, cudaStreamQuery(b));
  float milliseconds = -1;
  cudaEventRecord(other, a);
  EXPECT_EQ(cudaErrorNotReady, cudaEventElapsedTime(&milliseconds, event, other));
  cudaEventSynchronize(other);
  EXPECT_EQ(cudaSuccess, cudaEventElapsedTime(&milliseconds, event, other));
  EXPECT_GE(milliseconds, 0);
}

TEST_F(Streams, TheLegacyStreamWaitsForBlockingOnes) {
  const Floats x({3});
  cudaStream_t blocking = nullptr;
  cudaStreamCreate(&blocking);
  issue(times, {}, blocking, x.data, 5.0F);
  EXPECT_EQ(15, x.get()[0]);
  issue(times, {}, a, x.data, 2.0F);
  EXPECT_EQ(15, x.get()[0]) << "but not for others";
  cudaStreamDestroy(blocking);
}

TEST_F(Streams, GraphsReplayForksAndOutsideEvents) {
  const Floats x({1}), y({1});
  ASSERT_EQ(cudaSuccess, cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal));
  issue(times, {}, a, x.data, 3.0F);
  ASSERT_EQ(cudaSuccess, cudaEventRecord(event, a));
  ASSERT_EQ(cudaSuccess, cudaStreamWaitEvent(b, event, 0));
  issue(times, {}, b, y.data, 2.0F);
  ASSERT_EQ(cudaSuccess, cudaEventRecord(event, b));
  ASSERT_EQ(cudaSuccess, cudaStreamWaitEvent(a, event, 0));
  issue(plus, {}, a, x.data, static_cast<const float*>(y.data));
  ASSERT_EQ(cudaSuccess, cudaEventRecordWithFlags(other, a, cudaEventRecordExternal));
  EXPECT_EQ(cudaErrorCapturedEvent, cudaEventQuery(event));
  void* memory = nullptr;
  EXPECT_EQ(cudaErrorStreamCaptureUnsupported, cudaMalloc(&memory, 4));
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaSuccess, cudaStreamEndCapture(a, &graph));
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaSuccess, cudaGraphInstantiate(&executable, graph, 0));
  cudaGraphDestroy(graph);
  EXPECT_EQ(1, x.get()[0]) << "captured, not done";
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(cudaSuccess, cudaGraphLaunch(executable, a));
    EXPECT_EQ(cudaErrorNotReady, cudaEventQuery(other));
    ASSERT_EQ(cudaSuccess, cudaEventSynchronize(other));
  }
  EXPECT_EQ((1 * 3 + 2) * 3 + 4, x.get()[0]);
  EXPECT_EQ(4, y.get()[0]);
  cudaGraphExecDestroy(executable);
}

TEST_F(Streams, ACaptureMustBeJoined) {
  const Floats x({1});
  cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal);
  cudaEventRecord(event, a);
  cudaStreamWaitEvent(b, event, 0);
  issue(times, {}, b, x.data, 2.0F);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaErrorStreamCaptureUnjoined, cudaStreamEndCapture(a, &graph));
  cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal);
  EXPECT_EQ(cudaErrorStreamCaptureUnsupported, cudaStreamSynchronize(a));
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(a, &graph));
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, cudaGetLastError());
  EXPECT_EQ(cudaSuccess, cudaGetLastError());
}

TEST_F(Streams, WrongCallsAreRefused) {
  const Floats x({1});
  EXPECT_EQ(cudaErrorInvalidValue, cudaMemcpyAsync(pinned, x.data, 8, cudaMemcpyDefault, a))
      << "beyond the allocation";
  EXPECT_EQ(cudaErrorInvalidValue, cudaMemcpyAsync(pinned, x.data, 4, cudaMemcpyHostToDevice, a));
  cudaLaunchConfig_t configuration{};
  configuration.gridDim = 1;
  configuration.blockDim = 1025;
  EXPECT_EQ(cudaErrorInvalidConfiguration, cudaLaunchKernelEx(&configuration, times, x.data, 1.0F));
  configuration.blockDim = 32;
  configuration.dynamicSmemBytes = 228 * 1024;
  EXPECT_EQ(cudaErrorInvalidValue, cudaLaunchKernelEx(&configuration, times, x.data, 1.0F));
  EXPECT_EQ(cudaErrorInvalidValue, cudaFree(x.data + 1));
}

TEST_F(Streams, AnotherProcessOpensDeviceMemory) {
  const Floats x({7, 8});
  cudaIpcMemHandle_t handle{};
  ASSERT_EQ(cudaSuccess, cudaIpcGetMemHandle(&handle, x.data));
  int pipes[2];
  ASSERT_EQ(0, pipe(pipes));
  const pid_t child = fork();
  if (child == 0) {  // in a real program: a rank; CUDA's own state would not survive a fork
    cudaIpcMemHandle_t received{};
    float* opened = nullptr;
    const bool read_all = read(pipes[0], &received, sizeof(received)) == sizeof(received);
    void* memory = nullptr;
    if (!read_all || cudaIpcOpenMemHandle(&memory, received, cudaIpcMemLazyEnablePeerAccess) != cudaSuccess)
      _exit(1);
    opened = static_cast<float*>(memory);
    float values[2];
    if (cudaMemcpy(values, opened, 8, cudaMemcpyDeviceToHost) != cudaSuccess || values[1] != 8) _exit(2);
    values[0] = 9;
    if (cudaMemcpy(opened, values, 4, cudaMemcpyHostToDevice) != cudaSuccess) _exit(3);
    _exit(cudaIpcCloseMemHandle(opened) == cudaSuccess ? 0 : 4);
  }
  ASSERT_EQ(static_cast<ssize_t>(sizeof(handle)), write(pipes[1], &handle, sizeof(handle)));
  int status = -1;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  EXPECT_EQ(0, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  EXPECT_EQ((std::vector<float>{9, 8}), x.get());
  close(pipes[0]);
  close(pipes[1]);
}

}  // namespace
