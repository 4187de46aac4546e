/// Graphs: what captured streams were given, with its dependencies, issued again as a whole at each launch.
#include <algorithm>

#include "machine.hpp"
#include "runtime.hpp"

namespace cuda_on_host {
namespace {

/// Marks `node` and all that it comes after.
void mark(const Graph& graph, std::size_t node, std::vector<bool>& seen) {
  std::vector<std::size_t> open{node};
  while (!open.empty()) {
    const std::size_t i = open.back();
    open.pop_back();
    if (seen[i]) continue;
    seen[i] = true;
    open.insert(open.end(), graph.nodes[i].after.begin(), graph.nodes[i].after.end());
  }
}

/// Whether the origin has come after all that its capture holds.
bool is_joined(const Capture& capture) {
  std::vector<bool> seen(capture.graph.nodes.size(), false);
  for (const std::size_t i : capture.origin->behind)
    mark(capture.graph, i, seen);
  return std::all_of(seen.begin(), seen.end(), [](bool b) { return b; });
}

void end_capture(Capture* capture) {
  Runtime& r = runtime();
  for (Stream* s : r.streams)
    if (s->capture == capture) {
      s->capture = nullptr;
      s->behind.clear();
    }
  capture->ended = true;  // events may still name it
}

OperationPtr issue_node(const Node& node, const std::vector<OperationPtr>& issued,
                        const std::vector<OperationPtr>& first) {
  auto operation = std::make_shared<Operation>();
  operation->run = node.run;
  if (node.after.empty()) operation->after = first;
  for (const std::size_t i : node.after)
    operation->after.push_back(issued[i]);
  if (node.wait && node.wait->operation && !node.wait->operation->done)
    operation->after.push_back(node.wait->operation);
  if (node.record) {
    node.record->operation = operation;
    node.record->asked = 0;
    node.record->capture = nullptr;
  }
  return operation;
}

}  // namespace
}  // namespace cuda_on_host

using namespace cuda_on_host;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return api([&] {
    Stream& s = stream_of(stream);
    if (&s == &runtime().legacy) return cudaErrorStreamCaptureUnsupported;
    if (s.capture) return cudaErrorInvalidValue;
    auto capture = std::make_unique<Capture>();
    capture->origin = &s;
    capture->mode = mode;
    capture->thread = std::this_thread::get_id();
    s.capture = capture.get();
    s.behind.clear();
    runtime().captures.push_back(std::move(capture));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return api([&] {
    Stream& s = stream_of(stream);
    *graph = nullptr;
    Capture* const capture = s.capture;
    if (!capture) return cudaErrorInvalidValue;
    if (capture->origin != &s) return cudaErrorStreamCaptureUnmatched;
    const cudaError_t error = capture->invalid       ? cudaErrorStreamCaptureInvalidated
                              : !is_joined(*capture) ? cudaErrorStreamCaptureUnjoined
                                                     : cudaSuccess;
    if (error == cudaSuccess) *graph = new Graph{std::move(capture->graph)};
    end_capture(capture);
    return error;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return api([&] {
    const Stream& s = stream_of(stream);
    *status = !s.capture           ? cudaStreamCaptureStatusNone
              : s.capture->invalid ? cudaStreamCaptureStatusInvalidated
                                   : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  return api([&] {
    if (nodes) return cudaErrorNotSupported;
    *count = graph->nodes.size();
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  return api([&] {
    if (!executable || !graph) return cudaErrorInvalidValue;
    *executable = new GraphExec{.graph = *graph, .last = nullptr};
    return cudaSuccess;
  });
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return api([&] {
    Stream& s = stream_of(stream);
    if (!executable) return cudaErrorInvalidValue;
    if (s.capture) return cudaErrorStreamCaptureUnsupported;
    ++machine().counts.graph_launches;
    if (const auto error = issue(s, nullptr); error != cudaSuccess) return error;
    std::vector<OperationPtr> first{s.tail};
    if (executable->last && !executable->last->done) first.push_back(executable->last);
    std::vector<OperationPtr> issued;
    for (const Node& node : executable->graph.nodes)
      issued.push_back(issue_node(node, issued, first));
    auto last = std::make_shared<Operation>();
    last->after = first;
    last->after.insert(last->after.end(), issued.begin(), issued.end());
    s.tail = executable->last = last;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return api([&] {
    delete graph;
    return cudaSuccess;
  });
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return api([&] {
    delete executable;
    return cudaSuccess;
  });
}
