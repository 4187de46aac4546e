/// Streams and events: work waits until something asks for it, and is then done in an order that dependencies
/// allow, nothing else earlier.
#include <algorithm>
#include <chrono>

#include "machine.hpp"
#include "runtime.hpp"

namespace cuda_on_host {
namespace {

void execute(Operation& operation) {
  operation.done = true;  // also where it fails
  operation.after.clear();
  const auto run = std::move(operation.run);
  operation.run = nullptr;
  if (run) {
    const Access access;
    run();
  }
  operation.seconds = seconds_now();
}

}  // namespace

std::vector<OperationPtr> dependencies(Stream& stream) {
  Runtime& r = runtime();
  std::vector<OperationPtr> after;
  const auto add = [&](const OperationPtr& o) {
    if (o && !o->done) after.push_back(o);
  };
  add(stream.tail);
  if (&stream == &r.legacy) {
    for (Stream* other : r.streams)
      if (other->blocking) add(other->tail);
  } else if (stream.blocking) {
    add(r.legacy.tail);
  }
  return after;
}

void add_node(Stream& stream, Node node) {
  auto& nodes = stream.capture->graph.nodes;
  node.after = stream.behind;
  stream.behind = {nodes.size()};
  nodes.push_back(std::move(node));
}

cudaError_t query(const OperationPtr& operation, unsigned& asked) {
  if (is_capturing()) return cudaErrorStreamCaptureUnsupported;
  if (!operation || operation->done) return cudaSuccess;
  // Who asks often shall not wait forever.
  progress(operation, std::size_t{1} << std::min(asked++, 20U));
  return cudaErrorNotReady;
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_capturing() {
  const auto& captures = runtime().captures;
  return std::any_of(captures.begin(), captures.end(), [](const auto& c) {
    return !c->ended &&
           (c->mode == cudaStreamCaptureModeGlobal ||
            (c->mode == cudaStreamCaptureModeThreadLocal && c->thread == std::this_thread::get_id()));
  });
}

Stream& stream_of(cudaStream_t stream) {
  Runtime& r = runtime();
  if (stream == nullptr || stream == cudaStreamLegacy) return r.legacy;
  if (stream == cudaStreamPerThread) return r.per_thread;
  if (std::find(r.streams.begin(), r.streams.end(), stream) == r.streams.end())
    throw Fault("a stream was used that does not exist (any more)");
  return *stream;
}

void progress(const OperationPtr& target, std::size_t count) {
  const Access access;
  std::vector<OperationPtr> path{target};
  while (!path.empty() && count > 0) {
    const OperationPtr operation = path.back();
    if (operation->done) {
      path.pop_back();
      continue;
    }
    auto& after = operation->after;
    std::erase_if(after, [](const OperationPtr& o) { return o->done; });
    if (!after.empty()) {
      Machine& m = machine();
      const std::size_t i = m.order == Order::random    ? m.pick(after.size())
                            : m.order == Order::reverse ? after.size() - 1
                                                        : 0;
      path.push_back(after[i]);
      continue;
    }
    path.pop_back();
    if (operation->run) --count;
    execute(*operation);
  }
}

void force(const OperationPtr& target) {
  if (target && !target->done) progress(target, ~std::size_t{0});
  check_guards();
}

void force_everything() {
  Runtime& r = runtime();
  std::vector<OperationPtr> tails = std::exchange(r.orphans, {});
  tails.push_back(r.legacy.tail);
  tails.push_back(r.per_thread.tail);
  for (const Stream* s : r.streams)
    tails.push_back(s->tail);
  Machine& m = machine();
  if (m.order == Order::reverse) std::reverse(tails.begin(), tails.end());
  if (m.order == Order::random) std::shuffle(tails.begin(), tails.end(), m.random);
  for (const auto& tail : tails)
    if (tail && !tail->done) progress(tail, ~std::size_t{0});
  check_guards();
}

cudaError_t issue(Stream& stream, std::function<void()> run) {
  Runtime& r = runtime();
  if (stream.capture) {
    add_node(stream, {.run = std::move(run), .after = {}, .record = nullptr, .wait = nullptr});
    return cudaSuccess;
  }
  if (&stream == &r.legacy)
    for (const Stream* other : r.streams)
      if (other->blocking && other->capture) return cudaErrorStreamCaptureImplicit;
  auto operation = std::make_shared<Operation>();
  operation->run = std::move(run);
  operation->after = dependencies(stream);
  stream.tail = operation;
  stream.asked = 0;
  Machine& m = machine();
  if (m.order == Order::random && !r.streams.empty() && m.pick(4) == 0) {
    const OperationPtr some = r.streams[m.pick(r.streams.size())]->tail;
    if (some && !some->done) progress(some, 1);
  }
  return cudaSuccess;
}

}  // namespace cuda_on_host

using namespace cuda_on_host;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return api([&] {
    if (!stream || flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
    auto* const made = new Stream;
    made->blocking = flags == cudaStreamDefault;
    runtime().streams.push_back(made);
    *stream = made;
    return cudaSuccess;
  });
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return api([&] {
    Runtime& r = runtime();
    Stream& s = stream_of(stream);
    if (s.capture || &s == &r.legacy || &s == &r.per_thread) return cudaErrorInvalidResourceHandle;
    if (s.tail && !s.tail->done) r.orphans.push_back(s.tail);
    std::erase(r.streams, stream);
    delete stream;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return api([&] {
    Stream& s = stream_of(stream);
    if (s.capture) s.capture->invalid = true;
    if (s.capture || is_capturing()) return cudaErrorStreamCaptureUnsupported;
    for (const auto& o : dependencies(s))
      force(o);
    return cudaSuccess;
  });
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return api([&] {
    Stream& s = stream_of(stream);
    return query(s.tail, s.asked);
  });
}
cudaError_t cudaDeviceSynchronize() {
  return api([&] {
    if (is_capturing()) return cudaErrorStreamCaptureUnsupported;
    force_everything();
    return cudaSuccess;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  return api([&] {
    Stream& s = stream_of(stream);
    if (!event) return cudaErrorInvalidResourceHandle;
    EventState& e = *event->state;
    if (flags == cudaEventWaitExternal && s.capture) {
      add_node(s, {.run = nullptr, .after = {}, .record = nullptr, .wait = event->state});
      return cudaSuccess;
    }
    if (e.capture) {
      if (e.capture->ended) return cudaErrorCapturedEvent;
      if (s.capture && s.capture != e.capture) return cudaErrorStreamCaptureIsolation;
      s.capture = e.capture;
      s.behind.insert(s.behind.end(), e.behind.begin(), e.behind.end());
      return cudaSuccess;
    }
    if (s.capture) {
      s.capture->invalid = true;
      return cudaErrorStreamCaptureIsolation;
    }
    if (!e.operation || e.operation->done) return cudaSuccess;
    auto join = std::make_shared<Operation>();
    join->after = dependencies(s);
    join->after.push_back(e.operation);
    s.tail = join;
    s.asked = 0;
    return cudaSuccess;
  });
}
