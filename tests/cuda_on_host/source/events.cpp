/// Events: places in streams, outside of captures and inside.
#include "runtime.hpp"

using namespace cuda_on_host;

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return api([&] {
    if (!event) return cudaErrorInvalidValue;
    *event = new Event;
    (*event)->state->timing = (flags & cudaEventDisableTiming) == 0;
    return cudaSuccess;
  });
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return api([&] {
    if (!event) return cudaErrorInvalidResourceHandle;
    delete event;
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  return api([&] {
    Stream& s = stream_of(stream);
    if (!event) return cudaErrorInvalidResourceHandle;
    EventState& e = *event->state;
    if (s.capture && flags == cudaEventRecordExternal) {
      add_node(s, {.run = nullptr, .after = {}, .record = event->state, .wait = nullptr});
      return cudaSuccess;
    }
    e.asked = 0;
    if (s.capture) {
      e.capture = s.capture;
      e.behind = s.behind;
      return cudaSuccess;
    }
    e.capture = nullptr;
    e.operation = std::make_shared<Operation>();
    e.operation->after = dependencies(s);
    s.tail = e.operation;
    s.asked = 0;
    return cudaSuccess;
  });
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return cudaEventRecordWithFlags(event, stream, cudaEventRecordDefault);
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return api([&] {
    if (!event) return cudaErrorInvalidResourceHandle;
    EventState& e = *event->state;
    if (e.capture) return cudaErrorCapturedEvent;
    return query(e.operation, e.asked);
  });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return api([&] {
    if (!event) return cudaErrorInvalidResourceHandle;
    if (event->state->capture) return cudaErrorCapturedEvent;
    if (is_capturing()) return cudaErrorStreamCaptureUnsupported;
    force(event->state->operation);
    return cudaSuccess;
  });
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  return api([&] {
    if (!begin || !end || !milliseconds) return cudaErrorInvalidResourceHandle;
    const EventState &b = *begin->state, &e = *end->state;
    if (!b.operation || !e.operation || !b.timing || !e.timing) return cudaErrorInvalidResourceHandle;
    if (!b.operation->done || !e.operation->done) return cudaErrorNotReady;
    *milliseconds = static_cast<float>((e.operation->seconds - b.operation->seconds) * 1e3);
    return cudaSuccess;
  });
}
