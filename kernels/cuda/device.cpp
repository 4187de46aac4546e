/// The contract's calls by those of the CUDA runtime. Memory begins as zeros; events and graphs work inside
/// and outside of a recording.
#include "device.hpp"

#include <cstring>
#include <stdexcept>

#include "add_buffers.hpp"
#include "launch.hpp"
#include "ranges.hpp"

namespace partita::kernels::cuda {
namespace {

/// Inside a recording an event is two: `inside` orders the queues of the recording and leaves nothing behind
/// it; `outside` becomes a node of the graph, so that it is reached anew each time the graph is issued.
struct CudaEvent final : kernels::Device::Event {
  CudaEvent() {
    check(cudaEventCreateWithFlags(&outside, cudaEventDefault), "cudaEventCreateWithFlags");
    const auto error = cudaEventCreateWithFlags(&inside, cudaEventDisableTiming);
    if (error != cudaSuccess) cudaEventDestroy(outside);
    check(error, "cudaEventCreateWithFlags");
  }
  ~CudaEvent() override {
    cudaEventDestroy(outside);
    cudaEventDestroy(inside);
  }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;

  cudaEvent_t outside = nullptr, inside = nullptr;
  std::uint64_t recording = 0;  ///< number of the recording in which it was last recorded, else 0
};

struct CudaGraph final : kernels::Device::Graph {
  /// Takes what a capture gave.
  explicit CudaGraph(cudaGraph_t graph) {
    const auto error = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    check(error, "cudaGraphInstantiate");
  }
  ~CudaGraph() override { cudaGraphExecDestroy(executable); }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  cudaGraphExec_t executable = nullptr;
};

const CudaEvent& cuda(const kernels::Device::Event& event) { return dynamic_cast<const CudaEvent&>(event); }

}  // namespace

CudaDevice::CudaDevice(int index) {
  check(cudaSetDevice(index), "cudaSetDevice");
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  name_ = std::string(properties.name) + " (" + std::to_string(properties.major) + "." +
          std::to_string(properties.minor) + ")";
  chip_ = {.architecture = properties.major * 10 + properties.minor,
           .multiprocessors = properties.multiProcessorCount};
  if (chip_.architecture < 80)
    throw std::runtime_error(name_ + ": the CUDA kernels need a compute capability of 8.0 or more");
  try {
    for (auto& stream : streams_)
      check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  } catch (...) {
    for (const auto stream : streams_)
      if (stream) cudaStreamDestroy(stream);
    throw;
  }
}

CudaDevice::~CudaDevice() {
  for (const auto stream : streams_) {
    cudaStreamSynchronize(stream);
    cudaStreamDestroy(stream);
  }
}

std::byte* CudaDevice::allocate(Bytes bytes) {
  if (bytes.value() == 0) return nullptr;
  void* memory = nullptr;
  const auto size = static_cast<std::size_t>(bytes.value());
  check(cudaMalloc(&memory, size), "cudaMalloc");
  const auto queue = stream(Queue::compute);
  auto error = cudaMemsetAsync(memory, 0, size, queue);
  if (error == cudaSuccess) error = cudaStreamSynchronize(queue);
  if (error != cudaSuccess) cudaFree(memory);
  check(error, "cudaMemsetAsync");
  return static_cast<std::byte*>(memory);
}

void CudaDevice::release(std::byte* memory) noexcept { cudaFree(memory); }

std::byte* CudaDevice::allocate_host(Bytes bytes) {
  if (bytes.value() == 0) return nullptr;
  void* memory = nullptr;
  const auto size = static_cast<std::size_t>(bytes.value());
  check(cudaHostAlloc(&memory, size, cudaHostAllocDefault), "cudaHostAlloc");
  std::memset(memory, 0, size);
  return static_cast<std::byte*>(memory);
}

void CudaDevice::release_host(std::byte* memory) noexcept { cudaFreeHost(memory); }

/// Memory that cannot be registered is copied all the same, through the driver's own buffers.
void CudaDevice::pin(std::span<std::byte> memory) {
  if (memory.empty()) return;
  if (cudaHostRegister(memory.data(), memory.size(), cudaHostRegisterDefault) != cudaSuccess)
    cudaGetLastError();
}

void CudaDevice::unpin(std::byte* memory) noexcept {
  if (memory && cudaHostUnregister(memory) != cudaSuccess) cudaGetLastError();
}

CudaDevice::SharedMemory CudaDevice::share(std::byte* memory) {
  cudaIpcMemHandle_t handle{};
  SharedMemory shared;
  static_assert(sizeof(handle) == sizeof(shared.handle));
  const auto error = cudaIpcGetMemHandle(&handle, memory);
  if (error == cudaErrorNotSupported) {
    cudaGetLastError();
    return {};
  }
  check(error, "cudaIpcGetMemHandle");
  std::memcpy(shared.handle.data(), &handle, sizeof(handle));
  shared.available = true;
  return shared;
}

std::byte* CudaDevice::open(const SharedMemory& shared) {
  if (!shared.available) throw std::logic_error("memory that is not shared cannot be opened");
  cudaIpcMemHandle_t handle{};
  std::memcpy(&handle, shared.handle.data(), sizeof(handle));
  void* memory = nullptr;
  check(cudaIpcOpenMemHandle(&memory, handle, cudaIpcMemLazyEnablePeerAccess), "cudaIpcOpenMemHandle");
  return static_cast<std::byte*>(memory);
}

void CudaDevice::close(std::byte* memory) noexcept { cudaIpcCloseMemHandle(memory); }

void CudaDevice::add(Queue queue, View to, std::span<const ConstView> terms) {
  if (to.empty()) return;
  if (to.type() == DataType::float64)
    add_buffers<double>(to, terms, stream(queue));
  else
    add_buffers<float>(to, terms, stream(queue));
}

void CudaDevice::copy(Queue queue, View to, ConstView from) {
  if (to.size() != from.size() || to.type() != from.type())
    throw std::logic_error("a copy is between views of the same size and type");
  if (to.empty()) return;
  check(cudaMemcpyAsync(to.data(), from.data(), static_cast<std::size_t>(to.bytes().value()),
                        cudaMemcpyDefault, stream(queue)),
        "cudaMemcpyAsync");
}

std::unique_ptr<CudaDevice::Event> CudaDevice::make_event() { return std::make_unique<CudaEvent>(); }

void CudaDevice::record(Event& event, Queue queue) {
  auto& e = dynamic_cast<CudaEvent&>(event);
  if (!recorded_[static_cast<std::size_t>(queue)]) {
    check(cudaEventRecord(e.outside, stream(queue)), "cudaEventRecord");
    e.recording = 0;
    return;
  }
  // First the node, so that who waits for `inside` waits for it too: a recording may leave nothing unjoined.
  check(cudaEventRecordWithFlags(e.outside, stream(queue), cudaEventRecordExternal),
        "cudaEventRecordWithFlags");
  check(cudaEventRecord(e.inside, stream(queue)), "cudaEventRecord");
  e.recording = recording_;
}

void CudaDevice::after(const Event& event, Queue queue) {
  const auto& e = cuda(event);
  bool& joined = recorded_[static_cast<std::size_t>(queue)];
  if (recording_ != 0 && e.recording == recording_) {
    check(cudaStreamWaitEvent(stream(queue), e.inside, 0), "cudaStreamWaitEvent");
    joined = true;
    return;
  }
  check(cudaStreamWaitEvent(stream(queue), e.outside, joined ? cudaEventWaitExternal : cudaEventWaitDefault),
        "cudaStreamWaitEvent");
}

bool CudaDevice::reached(const Event& event) {
  const auto error = cudaEventQuery(cuda(event).outside);
  if (error == cudaErrorNotReady) return false;
  check(error, "cudaEventQuery");
  return true;
}

double CudaDevice::seconds_between(const Event& from, const Event& to) {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, cuda(from).outside, cuda(to).outside), "cudaEventElapsedTime");
  return static_cast<double>(milliseconds) * 1e-3;
}

void CudaDevice::synchronize() {
  for (const auto stream : streams_)
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

void CudaDevice::begin_recording() {
  check(cudaStreamBeginCapture(stream(Queue::compute), cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
  recording_ = ++recordings_;
  recorded_[static_cast<std::size_t>(Queue::compute)] = true;
}

std::unique_ptr<CudaDevice::Graph> CudaDevice::end_recording() {
  recording_ = 0;
  recorded_ = {};
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream(Queue::compute), &graph), "cudaStreamEndCapture");
  return std::make_unique<CudaGraph>(graph);
}

void CudaDevice::issue(Graph& graph) {
  check(cudaGraphLaunch(dynamic_cast<CudaGraph&>(graph).executable, stream(Queue::compute)),
        "cudaGraphLaunch");
}

void CudaDevice::begin_range(const char* name) { push_range(name); }

void CudaDevice::end_range() { pop_range(); }

}  // namespace partita::kernels::cuda
