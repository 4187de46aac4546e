/// The emulated device's state: allocations, and work that was issued and is done when something asks for it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cuda_on_host/runtime_api.hpp"

namespace cuda_on_host {

/// Work and what must be done before it.
struct Operation {
  std::function<void()> run;
  std::vector<std::shared_ptr<Operation>> after;
  bool done = false;
  double seconds = 0;  ///< when it was done
};
using OperationPtr = std::shared_ptr<Operation>;

struct Capture;
struct EventState {
  OperationPtr operation;  ///< null: never recorded
  bool timing = true;
  unsigned asked = 0;               ///< queries since it was recorded
  Capture* capture = nullptr;       ///< recorded inside this one …
  std::vector<std::size_t> behind;  ///< … behind these nodes
};
struct Event {
  std::shared_ptr<EventState> state = std::make_shared<EventState>();
};

struct Node {
  std::function<void()> run;
  std::vector<std::size_t> after;
  std::shared_ptr<EventState> record, wait;  ///< events outside the graph
};
struct Graph {
  std::vector<Node> nodes;
};
struct GraphExec {
  Graph graph;
  OperationPtr last;
};

struct Stream {
  bool blocking = false;  ///< whether it waits for the legacy stream and the other way round
  OperationPtr tail;
  unsigned asked = 0;
  Capture* capture = nullptr;
  std::vector<std::size_t> behind;
};
struct Capture {
  Graph graph;
  Stream* origin;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  bool invalid = false, ended = false;
};

enum class MemoryKind { device, managed, pinned, registered, opened };
struct Allocation {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
  MemoryKind kind = MemoryKind::device;
  std::byte* reserved = nullptr;  ///< with the pages before and after that cannot be touched
  std::size_t reserved_bytes = 0;
  std::byte* mapped = nullptr;  ///< pages that hold the data
  std::size_t mapped_bytes = 0;
  int file = -1;
  bool on_device() const {
    return kind == MemoryKind::device || kind == MemoryKind::managed || kind == MemoryKind::opened;
  }
};

struct Runtime {
  std::recursive_mutex mutex;
  cudaError_t last_error = cudaSuccess;
  int devices = 1, major = 9, minor = 0, device = 0;

  std::map<std::uintptr_t, Allocation> allocations;  ///< by where their data begins
  std::size_t allocated = 0;                         ///< bytes on the device
  bool accessible = false;                           ///< whether device memory can be touched now

  Stream legacy{.blocking = false, .tail = {}, .asked = 0, .capture = nullptr, .behind = {}}, per_thread;
  std::vector<Stream*> streams;
  std::vector<OperationPtr> orphans;  ///< tails of destroyed streams
  std::vector<std::unique_ptr<Capture>> captures;
  std::map<const void*, std::size_t> shared_bytes_allowed;  ///< by kernel
};
Runtime& runtime();

/// Runs one call of the API: one at a time, its error kept for cudaGetLastError.
template <class Call>
cudaError_t api(Call&& call) {
  const std::lock_guard lock(runtime().mutex);
  const cudaError_t error = call();
  if (error != cudaSuccess && error != cudaErrorNotReady) runtime().last_error = error;
  return error;
}

Stream& stream_of(cudaStream_t);
/// Issues work; into the graph where the stream is captured.
cudaError_t issue(Stream&, std::function<void()> run);
/// Work that must be done before what `stream` is given next: its own, and by the legacy stream's rule.
std::vector<OperationPtr> dependencies(Stream&);
/// Adds a node behind what a captured stream was given.
void add_node(Stream&, Node);
/// cudaSuccess where it is done; else does some of the work towards it, the more the oftener it was `asked`.
cudaError_t query(const OperationPtr&, unsigned& asked);
/// Does at most `count` operations towards `target`.
void progress(const OperationPtr& target, std::size_t count);
void force(const OperationPtr& target);
void force_everything();
/// Whether this thread may not make calls that would disturb what it records.
bool is_capturing();
double seconds_now();

/// The allocation in which a pointer lies (its end counts only for empty ranges), or null.
Allocation* allocation_of(const void*);
/// While it exists, device memory can be touched.
class Access {
 public:
  Access();
  ~Access();
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;

 private:
  bool outermost_;
};
/// Throws a Fault where something wrote next to an allocation.
void check_guards();
void watch_for_stray_accesses();
/// A kernel's name, or its address.
std::string describe_kernel(const void*);
/// What an address has to do with the allocations; empty where nothing. Of use in a signal handler.
std::string describe_address(const void*);

}  // namespace cuda_on_host
