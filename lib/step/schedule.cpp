/// A row and a function for each schedule: the passes of a stage in order, from the numbers of micro-batches,
/// chunks and stages alone.
#include "partita/step/schedule.hpp"

#include <algorithm>
#include <iterator>

namespace partita::step {
namespace {

Action action_of(Pass pass, int chunk, int microbatch) {
  return {pass, ChunkId(chunk), MicrobatchId(microbatch)};
}

std::vector<Action> naive(const PipelineOptions& o, int, int) {
  std::vector<Action> order;
  for (int j = 0; j < o.microbatches; ++j) {
    for (int c = 0; c < o.chunks; ++c)
      order.push_back(action_of(Pass::forward, c, j));
    for (int c = o.chunks; c-- > 0;)
      order.push_back(action_of(Pass::backward, c, j));
  }
  return order;
}

/// The k-th (chunk, micro-batch) in groups of `stages` micro-batches, each through all chunks.
Action grouped(int k, int stages, int chunks, Pass pass) {
  const int in_group = k % (stages * chunks), chunk = in_group / stages;
  return action_of(pass, pass == Pass::forward ? chunk : chunks - 1 - chunk,
                   k / (stages * chunks) * stages + in_group % stages);
}

/// Micro-batches rounded up to whole groups of `stages`. Orders are built for so many; then those too many,
/// which are the first ones, are deleted: a short last group would deadlock.
int with_phantoms(const PipelineOptions& o, int stages) {
  return (o.microbatches + stages - 1) / stages * stages;
}

/// `warmup` forwards, then one backward after each forward, then the backwards that are left.
std::vector<Action> in_groups(const PipelineOptions& o, int stages, int warmup) {
  const int built = with_phantoms(o, stages), total = built * o.chunks;
  std::vector<Action> order;
  for (int k = 0; k < total + warmup; ++k) {
    if (k < total) order.push_back(grouped(k, stages, o.chunks, Pass::forward));
    if (k >= warmup) order.push_back(grouped(k - warmup, stages, o.chunks, Pass::backward));
  }
  const int phantoms = built - o.microbatches;
  std::erase_if(order, [&](const Action& action) { return action.microbatch < MicrobatchId(phantoms); });
  for (auto& action : order)
    action.microbatch = action.microbatch - phantoms;
  return order;
}

/// All forwards, then all backwards. Several chunks are gone through in groups of micro-batches, since chunk
/// after chunk would deadlock: the last stage has at most two sends to the first one under way, and the first
/// one receives none before all micro-batches have left its first chunk, for which the stages behind it, the
/// last one among them, must go on.
std::vector<Action> gpipe(const PipelineOptions& o, int stages, int) {
  return in_groups(o, stages, with_phantoms(o, stages) * o.chunks);
}

std::vector<Action> interleaved(const PipelineOptions& o, int stages, int stage) {
  const int total = with_phantoms(o, stages) * o.chunks;
  return in_groups(o, stages, std::min(total, 2 * (stages - stage - 1) + (o.chunks - 1) * stages));
}

std::vector<Action> one_forward_one_backward(const PipelineOptions& o, int stages, int stage) {
  const int m = o.microbatches, warmup = std::min(m, o.warmup * (stages - stage - 1));
  std::vector<Action> order;
  for (int j = 0; j < warmup; ++j)
    order.push_back(action_of(Pass::forward, 0, j));
  for (int j = 0; j < m; ++j) {
    if (warmup + j < m) order.push_back(action_of(Pass::forward, 0, warmup + j));
    order.push_back(action_of(Pass::backward, 0, j));
  }
  return order;
}

/// 1F1B whose weight parts lag behind by the number of the stage and fill the gaps of the cool-down.
std::vector<Action> zero_bubble(const PipelineOptions& o, int stages, int stage) {
  const int m = o.microbatches, warmup = std::min(m, stages - stage - 1);
  std::vector<Action> order;
  for (int j = 0; j < warmup; ++j)
    order.push_back(action_of(Pass::forward, 0, j));
  int weights = 0;
  for (int j = 0; j < m; ++j) {
    const bool steady = warmup + j < m;
    if (steady) order.push_back(action_of(Pass::forward, 0, warmup + j));
    order.push_back(action_of(Pass::backward_input, 0, j));
    if (j >= stage || !steady) order.push_back(action_of(Pass::backward_weight, 0, weights++));
  }
  while (weights < m)
    order.push_back(action_of(Pass::backward_weight, 0, weights++));
  return order;
}

struct Row {
  Schedule schedule;
  std::string_view name;
  bool takes_chunks, parts_backward;
  std::vector<Action> (*order)(const PipelineOptions&, int stages, int stage);
};

constexpr Row rows[] = {{Schedule::one_f_one_b, "1f1b", false, false, one_forward_one_backward},
                        {Schedule::naive, "naive", true, false, naive},
                        {Schedule::gpipe, "gpipe", true, false, gpipe},
                        {Schedule::interleaved, "interleaved", true, false, interleaved},
                        {Schedule::zb_h1, "zb-h1", false, true, zero_bubble}};

const Row& row_of(Schedule schedule) { return *std::ranges::find(rows, schedule, &Row::schedule); }

}  // namespace

std::vector<Schedule> schedules() {
  std::vector<Schedule> all;
  for (const auto& row : rows)
    all.push_back(row.schedule);
  return all;
}

std::string_view to_string(Schedule schedule) { return row_of(schedule).name; }
bool takes_chunks(Schedule schedule) { return row_of(schedule).takes_chunks; }
bool parts_backward(Schedule schedule) { return row_of(schedule).parts_backward; }

std::optional<Schedule> parse_schedule(std::string_view text) {
  const auto* const row = std::ranges::find(rows, text, &Row::name);
  return row == std::end(rows) ? std::nullopt : std::optional(row->schedule);
}

std::vector<Action> order_of(const PipelineOptions& options, int stages, int stage) {
  return row_of(options.schedule).order(options, stages, stage);
}

std::vector<Action> forward_order_of(const PipelineOptions& options, int stages) {
  auto order = gpipe(options, stages, 0);
  std::erase_if(order, [](const Action& action) { return action.pass != Pass::forward; });
  return order;
}

}  // namespace partita::step
