/// Which statements there are, and where a machine has what they say.
#include "grammar.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace partita::machine {
namespace {

constexpr std::array<std::string_view, 2> origins{"measured", "described"};
constexpr std::array<std::string_view, 2> movers{"independent", "polled"};

constexpr std::array<std::string_view, 5> networks{"crossbar", "fat-tree", "torus", "dragonfly", "rails"};

// What `cost::key_of` names; test `cost` holds all of its keys against these.
constexpr std::array<std::string_view, 3> implementations{"cpu", "reference", "cuda"};
constexpr std::array<std::string_view, 2> types{"float32", "float64"};
constexpr std::array<std::string_view, 2> layouts{"nchw", "nhwc"};
constexpr std::array<std::string_view, 23> kernels_of_steps{
    "linear",    "conv",          "maxpool", "avgpool", "relu",   "tanh",   "flatten", "dropout",
    "batchnorm", "cross-entropy", "mse",     "load",    "update", "norm",   "convert", "pack",
    "unpack",    "combine",       "share",   "average", "encode", "decode", "idle"};
constexpr std::array<std::string_view, 3> marks_of_kernels{"relu", "plain", "running"};
constexpr std::array<std::string_view, 32> phases{"forward",
                                                  "forward-statistics",
                                                  "backward-activation",
                                                  "backward-parameters",
                                                  "backward-data",
                                                  "backward-statistics",
                                                  "input",
                                                  "labels",
                                                  "gradient",
                                                  "gradient-finish",
                                                  "sums",
                                                  "sums-finish",
                                                  "statistics",
                                                  "finish",
                                                  "outer",
                                                  "reset",
                                                  "sgd",
                                                  "nesterov",
                                                  "adam",
                                                  "adamw",
                                                  "lars",
                                                  "lars-norms",
                                                  "lamb",
                                                  "lamb-norms",
                                                  "bf16",
                                                  "fp16",
                                                  "int8",
                                                  "sign",
                                                  "topk",
                                                  "powersgd",
                                                  "powersgd-finish",
                                                  "secure"};
constexpr std::array<std::string_view, 2> marks_of_phases{"add", "residual"};

constexpr std::array<std::string_view, 2> kinds_of_kernels{"products", "others"};
constexpr std::array<std::string_view, 1> kinds_beside{"messages"};

constexpr bool optional = false;

Fields version(File& f, std::size_t) { return {{"schema", &f.schema}}; }

Fields provenance(File& f, std::size_t) {
  auto& p = f.machine.provenance;
  return {{"origin", Choice{&p.origin, origins}},
          {"host", &p.host, optional},
          {"cpu", &p.cpu, optional},
          {"date", &p.date, optional},
          {"versions", &p.versions, optional},
          {"load", &p.load, optional}};
}

Fields compute(File& f, std::size_t) {
  return {{"flops_per_second", &f.machine.flops_per_second},
          {"call_seconds", &f.machine.call_seconds, optional}};
}

Fields main_memory(File& f, std::size_t) { return {{"bytes_per_second", &f.machine.main_bytes_per_second}}; }

Fields cache(File& f, std::size_t) { return {{"bytes_per_second", &f.machine.cache_bytes_per_second}}; }

Fields cores(File& f, std::size_t) {
  auto& c = f.machine.cores;
  return {{"number", &c.number}, {"yield_seconds", &c.yield_seconds, optional}};
}

Fields cache_size(File& f, std::size_t line) {
  auto& row = f.machine.caches[line];
  return {{"bytes", &row.bytes, true, true}, {"cores", &row.cores, optional}};
}

Fields shared(File& f, std::size_t line) {
  auto& row = f.machine.shared_memory[line];
  return {{"active_ranks", &row.active_ranks, true, true}, {"bytes_per_second", &row.bytes_per_second}};
}

Fields link(File& f, std::size_t) {
  return {{"latency_seconds", &f.machine.link_latency_seconds},
          {"bytes_per_second", &f.machine.link_bytes_per_second}};
}

Fields level(File& f, std::size_t line) {
  auto& row = f.machine.levels[line];
  return {{"name", &row.name, true, true}, {"ranks", &row.ranks, optional}};
}

Fields topology(File& f, std::size_t line) {
  auto& [level, t] = f.topologies[line];
  return {{"level", &level, true, true},
          {"kind", Choice{&t.kind, networks}},
          {"extents", &t.extents, optional},
          {"link_bytes_per_second", &t.link_bytes_per_second},
          {"taper", &t.taper, optional}};
}

Fields message(File& f, std::size_t line) {
  auto& [level, p] = f.messages[line];
  return {{"level", &level, true, true},
          {"min_bytes", &p.min_bytes, true, true},
          {"send_seconds", &p.send_seconds, optional},
          {"send_byte_seconds", &p.send_byte_seconds, optional},
          {"latency_seconds", &p.latency_seconds},
          {"byte_seconds", &p.byte_seconds},
          {"receive_seconds", &p.receive_seconds, optional},
          {"receive_byte_seconds", &p.receive_byte_seconds, optional},
          {"gap_seconds", &p.gap_seconds, optional},
          {"rendezvous", &p.rendezvous, optional}};
}

Fields window(File& f, std::size_t line) {
  auto& row = f.machine.windows[line];
  return {{"min_bytes", &row.min_bytes, true, true},
          {"stage_byte_seconds", &row.stage_byte_seconds},
          {"load_byte_seconds", &row.load_byte_seconds},
          {"store_byte_seconds", &row.store_byte_seconds}};
}

Fields flag(File& f, std::size_t) { return {{"seconds", &f.machine.flag_seconds}}; }

Fields overhead(File& f, std::size_t) {
  auto& o = f.machine.overheads;
  return {{"start_seconds", &o.start_seconds, optional},
          {"wait_seconds", &o.wait_seconds, optional},
          {"poll_seconds", &o.poll_seconds, optional},
          {"step_seconds", &o.step_seconds, optional}};
}

Fields progress(File& f, std::size_t) { return {{"mode", Choice{&f.progress, movers}}}; }

Fields variance(File& f, std::size_t) {
  auto& v = f.machine.variance;
  return {{"within_run", &v.within_run, optional},
          {"between_runs", &v.between_runs, optional},
          {"between_ranks", &v.between_ranks, optional}};
}

Fields slowdown(File& f, std::size_t line) {
  auto& row = f.machine.slowdowns[line];
  return {{"of", Choice{&row.of, kinds_of_kernels}, true, true},
          {"beside", Choice{&row.beside, kinds_beside}, true, true},
          {"factor", &row.factor}};
}

Fields checkpoint(File& f, std::size_t) {
  auto& c = f.machine.checkpoint;
  return {{"bytes_per_second", &c.bytes_per_second}, {"seconds", &c.seconds, optional}};
}

Fields kernel(File& f, std::size_t line) {
  auto& row = f.machine.kernels[line];
  auto& key = row.key;
  return {{"implementation", Choice{&key.implementation, implementations}, true, true},
          {"kernel", Choice{&key.kernel, kernels_of_steps, marks_of_kernels}, true, true},
          {"phase", Choice{&key.phase, phases, marks_of_phases}, optional, true},
          {"type", Choice{&key.type, types}, true, true},
          {"layout", Choice{&key.layout, layouts}, optional, true},
          {"shape", &key.shape, true, true},
          {"beyond", &key.beyond, optional, true},
          {"threads", &key.threads, optional, true},
          {"active_ranks", &key.active_ranks, optional, true},
          {"runs", &row.runs},
          {"median_seconds", &row.median_seconds},
          {"lower_quartile_seconds", &row.lower_quartile_seconds},
          {"upper_quartile_seconds", &row.upper_quartile_seconds}};
}

Fields ranks(File& f, std::size_t line) {
  auto& row = f.ranks[line];
  return {{"first", &row.first, true, true},
          {"last", &row.last, true, true},
          {"name", &row.name, optional},
          {"file", &row.file, optional}};
}

using FieldsOf = Fields (*)(File&, std::size_t);

constexpr Statement once(std::string_view word, FieldsOf fields, bool must_be_given = false,
                         std::string_view level = "") {
  return {.word = word,
          .level = level,
          .with = "",
          .must_be_given = must_be_given,
          .append = nullptr,
          .lines = [](File&) -> std::size_t { return 1; },
          .fields = fields};
}

/// As many lines as the list has.
template <class List>
constexpr Statement each(std::string_view word, List, FieldsOf fields, std::string_view level = "",
                         std::string_view with = "") {
  return {.word = word,
          .level = level,
          .with = with,
          .must_be_given = false,
          .append = [](File& f) { List()(f).emplace_back(); },
          .lines = [](File& f) { return List()(f).size(); },
          .fields = fields};
}

constexpr auto levels = [](File & f) -> auto& { return f.machine.levels; };
constexpr auto messages = [](File & f) -> auto& { return f.messages; };
constexpr auto topologies = [](File & f) -> auto& { return f.topologies; };
constexpr auto windows = [](File & f) -> auto& { return f.machine.windows; };
constexpr auto measured = [](File & f) -> auto& { return f.machine.kernels; };
constexpr auto caches = [](File & f) -> auto& { return f.machine.caches; };
constexpr auto slowdowns = [](File & f) -> auto& { return f.machine.slowdowns; };
constexpr auto memories = [](File & f) -> auto& { return f.machine.shared_memory; };
constexpr auto parts = [](File & f) -> auto& { return f.ranks; };

/// In the order in which they are written.
constexpr Statement all[] = {once("version", version),
                             once("provenance", provenance),
                             once("compute", compute, true),
                             once("memory", main_memory, true, "main"),
                             each("memory", memories, shared, "main", "active_ranks"),
                             once("memory", cache, false, "cache"),
                             once("cores", cores),
                             each("cache", caches, cache_size),
                             once("link", link, true),
                             each("level", levels, level),
                             each("topology", topologies, topology),
                             each("message", messages, message),
                             each("window", windows, window),
                             once("flag", flag),
                             once("overhead", overhead),
                             once("progress", progress),
                             once("variance", variance),
                             each("slowdown", slowdowns, slowdown),
                             once("checkpoint", checkpoint),
                             each("kernel", measured, kernel),
                             each("ranks", parts, ranks)};

/// Words of statements that hold for all ranks.
constexpr std::array<std::string_view, 10> of_job{"version", "cores", "link",     "level",      "topology",
                                                  "message", "flag",  "variance", "checkpoint", "ranks"};

}  // namespace

std::span<const Statement> statements() { return all; }

const Statement& ranks_statement() { return std::end(all)[-1]; }

bool is_of_rank(const Statement& statement) { return std::ranges::count(of_job, statement.word) == 0; }

File file_of(const Machine& machine) {
  File file{.machine = machine};
  if (machine.progress == Progress::polled) file.progress = movers[1];
  for (const auto& level : machine.levels)
    if (!level.topology.kind.empty()) file.topologies.push_back({level.name, level.topology});
  for (const auto& level : machine.levels)
    for (const auto& protocol : level.protocols)
      file.messages.push_back({level.name, protocol});
  return file;
}

}  // namespace partita::machine
