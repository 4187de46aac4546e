/// Gives every span a lane, and writes names, spans, arrows and counters as events. Times are whole
/// nanoseconds until they are written, so that spans which touch still touch.
#include "trace.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <tuple>
#include <utility>

#include "partita/base/utf8.hpp"

namespace partita::timeline {
namespace {

using nlohmann::ordered_json;
using results::TimelineRow;

/// Whole nanoseconds: spans that touch in the file still touch in the trace.
using Nanoseconds = std::int64_t;

constexpr double longest_seconds = 1e9;  ///< 30 years; nanoseconds beyond 292 years overflow

Nanoseconds nanoseconds(double seconds) { return std::llround(seconds * 1e9); }
double microseconds(Nanoseconds time) { return static_cast<double>(time) / 1000; }

struct Span {
  const TimelineRow* row = nullptr;
  Nanoseconds start = 0, end = 0;
  std::int64_t lane = 0;  ///< of its rank, over all queues: the thread's number
};

/// A thread of a rank.
struct Lane {
  std::int64_t rank = 0, lane = 0;
  std::string name;  ///< "communication 2"
};

bool is_communication(const Span& span) { return span.row->queue == "communication"; }

/// Queues in the order of their lanes; one of another name comes last.
std::size_t place_of_queue(const std::string& queue) {
  static constexpr std::array<std::string_view, 3> known{"compute", "copy", "communication"};
  return static_cast<std::size_t>(std::ranges::find(known, queue) - known.begin());
}

/// Spans of the steps by rank, queue and start; time 0 is the first step's start or the earliest span.
std::vector<Span> spans_of(const std::vector<TimelineRow>& rows, const StepRange& steps) {
  std::vector<Span> spans;
  Nanoseconds zero = 0;
  for (const auto& row : rows) {
    zero = std::min(zero, nanoseconds(row.start_seconds));
    if (steps.contains(row.step))
      spans.push_back(
          {.row = &row, .start = nanoseconds(row.start_seconds), .end = nanoseconds(row.end_seconds)});
  }
  for (auto& span : spans) {
    span.start -= zero;
    span.end -= zero;
  }
  const auto key = [](const Span& s) {
    return std::tuple(s.row->rank, place_of_queue(s.row->queue), std::string_view(s.row->queue), s.start,
                      s.end);
  };
  std::ranges::stable_sort(spans, {}, key);
  return spans;
}

/// Gives each span the first lane of its queue that is free when it starts. Takes spans sorted as above.
std::vector<Lane> assign_lanes(std::vector<Span>& spans) {
  std::vector<Lane> lanes;
  std::vector<Nanoseconds> free_from;  // by lane of the queue
  std::int64_t first = 0;              // number of the queue's first lane
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const auto& row = *spans[i].row;
    const bool same_rank = i > 0 && spans[i - 1].row->rank == row.rank;
    if (!same_rank || spans[i - 1].row->queue != row.queue) {
      first = same_rank ? first + static_cast<std::int64_t>(free_from.size()) : 0;
      free_from.clear();
    }
    const auto free = std::ranges::find_if(free_from, [&](auto from) { return from <= spans[i].start; });
    const auto index = free - free_from.begin();
    spans[i].lane = first + index;
    if (free == free_from.end()) {
      free_from.push_back(0);
      const std::string queue = row.queue.empty() ? "other" : row.queue;
      lanes.push_back({.rank = row.rank,
                       .lane = spans[i].lane,
                       .name = index == 0 ? queue : queue + " " + std::to_string(index + 1)});
    }
    free_from[static_cast<std::size_t>(index)] = spans[i].end;
  }
  return lanes;
}

/// "backward conv1 parameters mb 3".
std::string name_of(const TimelineRow& row) {
  std::string name = row.kind;
  for (const auto& part : {row.layer, row.phase})
    if (!part.empty()) name += " " + part;
  return row.microbatch < 0 ? name : name + " mb " + std::to_string(row.microbatch);
}

/// What a span's row says, without the columns that say nothing.
ordered_json arguments_of(const TimelineRow& row) {
  ordered_json arguments{{"step", row.step}};
  for (const auto& [name, text] : {std::pair{"layer", &row.layer},
                                   {"phase", &row.phase},
                                   {"axis", &row.axis},
                                   {"purpose", &row.purpose}})
    if (!text->empty()) arguments[name] = *text;
  for (const auto& [name, number] : {std::pair{"microbatch", row.microbatch}, {"chunk", row.chunk}})
    if (number >= 0) arguments[name] = number;
  if (row.bytes.value() > 0) arguments["bytes"] = row.bytes.value();
  return arguments;
}

/// The object form, one event a line.
class TraceWriter {
 public:
  explicit TraceWriter(std::ostream& out) : out_(out) { out_ << "{\"traceEvents\":["; }
  void event(const ordered_json& event) {
    out_ << (first_ ? "\n" : ",\n") << text(event);
    first_ = false;
  }
  void finish(const ordered_json& about) {
    out_ << "\n],\"displayTimeUnit\":\"ms\",\"otherData\":" << text(about) << "}\n";
  }

 private:
  static std::string text(const ordered_json& json) { return base::with_utf8(json).dump(); }
  std::ostream& out_;
  bool first_ = true;
};

void write_metadata(TraceWriter& trace, const char* name, std::int64_t rank, std::int64_t lane,
                    const ordered_json& arguments) {
  trace.event({{"name", name}, {"ph", "M"}, {"pid", rank}, {"tid", lane}, {"args", arguments}});
}

void write_rank(TraceWriter& trace, const results::Environment& environment, std::int64_t rank) {
  std::string name = "rank " + std::to_string(rank);
  if (rank < static_cast<std::int64_t>(environment.ranks.size())) {
    const auto& [host, cpu, cores, device, at] = environment.ranks[static_cast<std::size_t>(rank)];
    name += " (data " + std::to_string(at.data) + ", pipeline " + std::to_string(at.pipeline) + ", tensor " +
            std::to_string(at.tensor) + ")";
    write_metadata(trace, "process_labels", rank, 0, {{"labels", host + " " + device}});
  }
  write_metadata(trace, "process_name", rank, 0, {{"name", name}});
  write_metadata(trace, "process_sort_index", rank, 0, {{"sort_index", rank}});
}

void write_lanes(TraceWriter& trace, const results::Environment& environment,
                 const std::vector<Lane>& lanes) {
  for (const auto& lane : lanes) {
    if (lane.lane == 0) write_rank(trace, environment, lane.rank);
    write_metadata(trace, "thread_name", lane.rank, lane.lane, {{"name", lane.name}});
    write_metadata(trace, "thread_sort_index", lane.rank, lane.lane, {{"sort_index", lane.lane}});
  }
}

void write_span(TraceWriter& trace, const Span& span) {
  const auto& row = *span.row;
  trace.event({{"name", name_of(row)},
               {"cat", row.queue.empty() ? "other" : row.queue},
               {"ph", "X"},
               {"ts", microseconds(span.start)},
               {"dur", microseconds(span.end - span.start)},
               {"pid", row.rank},
               {"tid", span.lane},
               {"args", arguments_of(row)}});
}

/// Arrows from the start of a send to the last instant of its receive. Returns the messages with one end.
std::size_t write_flows(TraceWriter& trace, const std::vector<Span>& spans) {
  std::map<std::int64_t, std::vector<const Span*>> ends;
  for (const auto& span : spans)
    if (span.row->flow >= 0) ends[span.row->flow].push_back(&span);
  const auto write_end = [&](const char* phase, const Span& span, Nanoseconds time) {
    ordered_json event{{"name", "message"},    {"cat", "message"},         {"ph", phase},
                       {"id", span.row->flow}, {"ts", microseconds(time)}, {"pid", span.row->rank},
                       {"tid", span.lane}};
    if (*phase == 'f') event["bp"] = "e";
    trace.event(event);
  };
  std::size_t alone = 0;
  for (auto& [flow, pair] : ends) {
    if (pair.size() != 2) {
      ++alone;
      continue;
    }
    if (!pair[0]->row->kind.starts_with("send")) std::swap(pair[0], pair[1]);
    write_end("s", *pair[0], pair[0]->start);
    write_end("f", *pair[1], std::max(pair[1]->start, pair[1]->end - 1));
  }
  return alone;
}

/// Bytes of the communications in flight on each rank, at each change.
void write_counters(TraceWriter& trace, const std::vector<Span>& spans) {
  std::map<std::pair<std::int64_t, Nanoseconds>, std::int64_t> changes;
  for (const auto& span : spans)
    if (is_communication(span)) {
      changes[{span.row->rank, span.start}] += span.row->bytes.value();
      changes[{span.row->rank, span.end}] -= span.row->bytes.value();
    }
  std::int64_t in_flight = 0;  // 0 again after the last change of a rank
  for (const auto& [at, change] : changes) {
    if (change == 0) continue;
    in_flight += change;
    trace.event({{"name", "bytes in flight"},
                 {"ph", "C"},
                 {"ts", microseconds(at.second)},
                 {"pid", at.first},
                 {"tid", 0},
                 {"args", {{"bytes", in_flight}}}});
  }
}

bool is_interval(const TimelineRow& row) {
  return row.rank >= 0 && row.bytes.value() >= 0 && row.start_seconds <= row.end_seconds &&
         std::abs(row.start_seconds) < longest_seconds && std::abs(row.end_seconds) < longest_seconds;
}

}  // namespace

std::vector<base::Violation> check_timeline(const results::Timeline& timeline, const StepRange& steps) {
  const auto& rows = timeline.rows;
  if (rows.empty()) return {{"/timeline", "", "is missing: the run was not asked to record its timeline"}};
  std::vector<base::Violation> violations;
  const auto wrong = std::ranges::find_if_not(rows, is_interval);
  if (wrong != rows.end())
    violations.push_back({"/timeline", "row " + std::to_string(wrong - rows.begin()),
                          "is no span of a rank: times must be finite, end not before start, rank and bytes "
                          "not negative"});
  if (std::ranges::none_of(rows, [&](const auto& row) { return steps.contains(row.step); })) {
    const auto [first, last] = std::ranges::minmax(rows, {}, &TimelineRow::step);
    violations.push_back({"--steps", std::to_string(steps.first) + ":" + std::to_string(steps.last),
                          "holds no span; the timeline has steps " + std::to_string(first.step) + ":" +
                              std::to_string(last.step)});
  }
  return violations;
}

std::size_t write_trace(std::ostream& out, const results::RunRecord& record, const StepRange& steps) {
  auto spans = spans_of(record.timeline.rows, steps);
  const auto lanes = assign_lanes(spans);
  TraceWriter trace(out);
  write_lanes(trace, record.environment, lanes);
  for (const auto& span : spans)
    write_span(trace, span);
  const auto alone = write_flows(trace, spans);
  write_counters(trace, spans);
  trace.finish({{"command_line", record.attributes.command_line},
                {"config_hash", record.attributes.config_hash},
                {"created", record.attributes.created},
                {"clock_uncertainty_seconds", record.timeline.clock_uncertainty_seconds}});
  return alone;
}

}  // namespace partita::timeline
