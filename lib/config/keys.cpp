/// The table of all keys.
#include <algorithm>
#include <sstream>

#include "checks.hpp"
#include "key_kinds.hpp"
#include "partita/model/grammar.hpp"

namespace partita::config {
namespace {

using base::KeyRole;

/// Whether the ranks, or the stages, are more than one, or are not known to be one.
bool has_peers(const RunOptions& o) {
  return !o.data_ranks || std::int64_t{*o.data_ranks} * o.grid.pipeline * o.grid.tensor > 1;
}
bool has_servers(const RunOptions& o) { return has_peers(o) && o.server.count > 0; }
bool is_asynchronous(const RunOptions& o) { return has_servers(o) && o.server.is_asynchronous; }
bool has_local_steps(const RunOptions& o) { return has_peers(o) && o.sync.local_period.has_value(); }
bool has_stages(const RunOptions& o) {
  return o.grid.pipeline > 1 || (o.strategy != Strategy::none && !o.data_ranks);
}
/// Whether layers are placed on the tensor axis or cut into chunks, which is chosen for a machine.
bool has_choices(const RunOptions& o) { return o.grid.tensor > 1 || has_stages(o) || o.pipeline.chunks > 1; }
/// Whether there is an order of micro-batches. The deterministic mode has one for each grain.
bool has_order(const RunOptions& o) {
  return has_stages(o) || o.pipeline.microbatches.value_or(1) > 1 || o.train.deterministic;
}

/// When asynchronous servers answer; or that they are not.
Key server_bound() {
  constexpr Bounds<std::int64_t> steps{0, 1 << 30};
  return {.name = "server.bound",
          .meaning =
              "when a worker gets the parameters: synchronous, once all have pushed and a step is made of "
              "all pushes; or "
              "each push is a step, and its worker goes on at once (none), or once no other is more steps "
              "behind (" +
              allowed(steps) + ")",
          .read = [steps](RunOptions& o, const std::string& text) -> std::string {
            o.server.is_asynchronous = text != "synchronous";
            o.server.bound.reset();
            if (!o.server.is_asynchronous || text == "none") return {};
            const auto wrong = read_number<std::int64_t>(text, steps, o.server.bound.emplace());
            return wrong.empty() ? wrong : wrong + ", or synchronous, or none";
          },
          .print = [](const RunOptions& o) -> std::optional<std::string> {
            if (!o.server.is_asynchronous) return "synchronous";
            return o.server.bound ? text_of(*o.server.bound) : "none";
          },
          .used = has_servers};
}

// The references of these lambdas would be taken for operators.
// clang-format off

/// Numbers of which only the ratios count mean the same where those are equal.
Key weights() {
  Key key = channel_numbers(
      "grid.weights",
      "of data ranks, each of which takes its part of the samples; measured: as fast as each is; default: all alike", {0, 1e6, true},
      [](RunOptions& o) -> auto& { return o.weights; });
  key.read = [numbers = key.read](RunOptions& o, const std::string& text) {
    o.measures_weights = text == "measured";
    const auto wrong = o.measures_weights ? std::string() : numbers(o, text);
    return wrong.empty() ? wrong : wrong + ", or measured";
  };
  key.print = [](const RunOptions& o) {
    auto text = text_of_weights(o);
    return text.empty() ? std::nullopt : std::optional(std::move(text));
  };
  key.means = [](const RunOptions& o) -> std::optional<std::string> {
    std::string text;
    if (o.measures_weights) return "measured";
    for (const auto weight : weights_of(o))
      text += (text.empty() ? "" : ",") + std::to_string(weight);
    return text.empty() ? std::nullopt : std::optional(text);
  };
  return std::move(key).as(KeyRole::split);
}

/// Printed only until it has filled in a grid, which then says everything.
Key strategy() {
  Key key = choice(
      "strategy", "fills in a grid for the number of ranks; auto: the best one on the machine, pipeline included",
      std::array{Strategy::none, Strategy::data, Strategy::layer, Strategy::tensor, Strategy::hybrid,
                 Strategy::automatic},
      [](RunOptions& o) -> auto& { return o.strategy; });
  key.decides_result = false;
  key.role = KeyRole::split;
  key.print = [plain = key.print](const RunOptions& o) { return o.data_ranks ? std::nullopt : plain(o); };
  return key;
}

/// Printed only where a run may change its split.
Key of_replanning(Key key) {
  key.print = [plain = key.print](const RunOptions& o) {
    return o.automatic.replan ? plain(o) : std::nullopt;
  };
  key.role = KeyRole::split;
  key.only = base::RunKind::training;
  return key;
}

/// Told apart by content: a file that says what the shipped one says makes the same run.
Key machine_file() {
  return {.name = "machine",
          .meaning = "machine file that placements and partitions are chosen for (default: the shipped one)",
          .role = KeyRole::machine,
          .read = [](RunOptions& o, const std::string& value) { return o.machine = value, std::string(); },
          .print =
              [](const RunOptions& o) {
                return o.machine.empty() ? std::nullopt : std::optional(o.machine.string());
              },
          .means = [](const RunOptions& o) -> std::optional<std::string> {
            if (o.machine.empty() || o.machine_hash == machine::Machine::shipped().hash()) return std::nullopt;
            return o.machine_hash.empty() ? o.machine.string() : o.machine_hash;
          },
          .used = has_choices};
}

/// A run on another clock is another run, though it trains the same model.
Key virtual_clock() {
  return {.name = "virtual-clock",
          .meaning = "machine file whose costs alone take time, over real messages and kernels of hosts: times of steps "
                     "and spans are those that the event model predicts (default: this host's time)",
          .only = base::RunKind::training,
          .read = [](RunOptions& o, const std::string& value) { return o.virtual_clock = value, std::string(); },
          .print =
              [](const RunOptions& o) {
                return o.virtual_clock.empty() ? std::nullopt : std::optional(o.virtual_clock.string());
              },
          .means = [](const RunOptions& o) -> std::optional<std::string> {
            if (o.virtual_clock.empty()) return std::nullopt;
            return o.virtual_clock_hash.empty() ? o.virtual_clock.string() : o.virtual_clock_hash;
          }};
}

/// However it is spelled.
Key input_shape() {
  Key key = text(
      "model.input", "shape of a sample, such as 784 or 1x28x28",
      [](RunOptions& o) -> auto& { return o.model_text.input; });
  key.means = [](const RunOptions& o) {
    return o.model_text.input.empty() ? std::nullopt : std::optional(to_string(o.model.input));
  };
  return key;
}

std::vector<Key> grid_and_model_keys() {
  using O = RunOptions;
  return {
      optional_number<int>(
          "grid.data", "ranks along the data axis; default: what the others leave", {1, 1 << 20},
          [](O& o) -> auto& { return o.data_ranks; }).as(KeyRole::split),
      number<int>(
          "grid.pipeline", "stages: ranks along the pipeline axis", {1, 1 << 20},
          [](O& o) -> auto& { return o.grid.pipeline; }).as(KeyRole::split),
      number<int>(
          "grid.tensor", "ranks along the tensor axis", {1, 1 << 20},
          [](O& o) -> auto& { return o.grid.tensor; }).as(KeyRole::split),
      weights(),
      strategy(),
      number<int>(
          "auto.candidates", "plans that strategy=auto tries, the best by its model", {1, 100'000},
          [](O& o) -> auto& { return o.automatic.candidates; }, false).as(KeyRole::none),
      optional_number<int>(
          "auto.measure",
          "rounds in which strategy=auto tries its best plans; 0: only predicts; default: up to 3 in 0.5 % of the steps",
          {0, 1000},
          [](O& o) -> auto& { return o.automatic.measure; }, false).as(KeyRole::none),
      of_replanning(boolean(
          "auto.replan", "asks for the best split again after an epoch whose steps leave their prediction; default: false",
          [](O& o) -> auto& { return o.automatic.replan; }, false)),
      of_replanning(number<double>(
          "auto.replan-threshold", "by more than this share of the prediction; default: 0.5", {0, 1e6, true},
          [](O& o) -> auto& { return o.automatic.replan_threshold; }, false)),
      machine_file(),
      virtual_clock(),
      choice(
          "pipeline.schedule", "order of the micro-batches",
          step::schedules(),
          [](O& o) -> auto& { return o.pipeline.schedule; }).used_when(
          [](const O& o) { return has_order(o) || step::parts_backward(o.pipeline.schedule); }),
      optional_number<int>(
          "pipeline.microbatches", "micro-batches of a data rank; default: 4 a stage", {1, 1 << 20},
          [](O& o) -> auto& { return o.pipeline.microbatches; }),
      number<int>(
          "pipeline.chunks", "chunks of a stage (naive, gpipe, interleaved)", {1, 1 << 20},
          [](O& o) -> auto& { return o.pipeline.chunks; }).used_when(
          [](const O& o) { return has_order(o) || o.pipeline.chunks > 1; }),  // no layers are fused across chunks
      number<int>(
          "pipeline.warmup", "1f1b: forwards ahead per stage that follows", {1, 1024},
          [](O& o) -> auto& { return o.pipeline.warmup; }).used_when(has_stages),
      text(
          "model.name", "name of the model", [](O& o) -> auto& { return o.model_text.name; }, false),
      input_shape(),
      text(
          "model.loss", "cross-entropy or mse", [](O& o) -> auto& { return o.model_text.loss; }).changing_past(),
      choice(
          "model.init", "initial parameters",
          std::array{model::Initializer::torch, model::Initializer::kaiming},
          [](O& o) -> auto& { return o.init; }).changing_past(),
  };
}

/// Read as a 64-bit number, stored as bytes.
Key bucket_bytes() {
  const Bounds<std::int64_t> bounds{1, large};
  return {.name = "sync.bucket-bytes",
          .meaning = "a gradient bucket is closed at this size (" + allowed(bounds) + ")",
          .read =
              [=](RunOptions& o, const std::string& value) {
                std::int64_t bytes = 0;
                auto wrong = read_number(value, bounds, bytes);
                if (wrong.empty()) o.sync.bucket_bytes = kernels::Bytes(bytes);
                return wrong;
              },
          .print = [](const RunOptions& o) { return text_of(o.sync.bucket_bytes.value()); }};
}

/// Printed where it is chosen: it says nothing of other kernels.
Key device_messages() {
  using Way = collective::DeviceMessages;
  auto key = choice(
      "sync.device-messages",
      "from buffers of the cuda kernels: through the host, from the device's memory, or loaded by the ranks of a node "
      "from each other's; auto: the last of these that works",
      std::array{Way::automatic, Way::staged, Way::direct, Way::ipc},
      [](RunOptions& o) -> auto& { return o.sync.device_messages; });
  key.print = [](const RunOptions& o) {
    const auto way = o.sync.device_messages;
    return way == Way::automatic ? std::nullopt : std::optional(std::string(to_string(way)));
  };
  key.used = has_peers;
  return key;
}

/// `auto`, and what it may stand for.
Key algorithm() {
  std::vector values{collective::Algorithm::automatic};
  values.insert(values.end(), collective::algorithms().begin(), collective::algorithms().end());
  return choice("sync.algorithm", "of all-reduces: of gradients, activations, statistics and the loss", std::move(values),
                [](RunOptions& o) -> auto& { return o.sync.algorithm; })
      .used_when(has_peers);
}

std::vector<Key> machine_keys() {
  using O = RunOptions;
  using collective::Algorithm;
  return {
      algorithm(),
      {.name = "sync.table",
       .meaning = "table of algorithms for auto, as partita-bench-comm writes it (default: the shipped one)",
       .decides_result = false,
       .role = KeyRole::table,
       .read = [](O& o, const std::string& value) { return o.sync.table = value, std::string(); },
       .print =
           [](const O& o) {
             return o.sync.table.empty() ? std::nullopt : std::optional(o.sync.table.string());
           },
       .used = [](const O& o) { return has_peers(o) && o.sync.algorithm == Algorithm::automatic; }},
      bucket_bytes(),
      choice(
          "sync.split", "ranks with the same parameters share states of the optimizer, or also gradients, or also parameters",
          std::array{step::Split::none, step::Split::state, step::Split::gradient, step::Split::parameter},
          [](O& o) -> auto& { return o.sync.split; }).used_when(has_peers),
      choice(
          "sync.gather", "shares of parameters are gathered once a step, or for each use (sync.split=parameter)",
          std::array{step::Gather::use, step::Gather::step},
          [](O& o) -> auto& { return o.sync.gather; }).used_when(
          [](const O& o) { return has_peers(o) && o.sync.split == step::Split::parameter; }),
      choice(
          "sync.compress", "codec by which gradients are sent",
          std::array{kernels::Codec::none, kernels::Codec::bf16, kernels::Codec::fp16, kernels::Codec::int8, kernels::Codec::sign,
                     kernels::Codec::topk, kernels::Codec::powersgd},
          [](O& o) -> auto& { return o.sync.compression.codec; }).used_when(has_peers),
      choice(
          "sync.error-feedback", "what a codec does not say is added to the next gradients; auto: but for bf16 and fp16",
          std::array{ErrorFeedback::automatic, ErrorFeedback::on, ErrorFeedback::off},
          [](O& o) -> auto& { return o.sync.error_feedback; }).used_when(
          [](const O& o) { return has_peers(o) && o.sync.compression.is_on(); }),
      number<double>(
          "sync.topk-ratio", "part of each tensor's elements that topk sends; default: 0.01", {0, 1, true},
          [](O& o) -> auto& { return o.sync.compression.ratio; }).used_when(
          [](const O& o) { return has_peers(o) && o.sync.compression.codec == kernels::Codec::topk; }),
      number<int>(
          "sync.powersgd-rank", "of the factors of powersgd; default: 2", {1, 1 << 10},
          [](O& o) -> auto& { return o.sync.compression.rank; }).used_when(
          [](const O& o) { return has_peers(o) && o.sync.compression.codec == kernels::Codec::powersgd; }),
      boolean(
          "sync.secure", "gradients and losses are added up as whole numbers under masks: no data rank, of 3 or more, learns another's",
          [](O& o) -> auto& { return o.sync.secure; }),
      number<int>(
          "sync.secure-bits", "behind the binary point of such a number; data ranks x 2^bits is below 2^31; default: 24", {0, 29},
          [](O& o) -> auto& { return o.sync.compression.bits; }).used_when([](const O& o) { return o.sync.secure; }),
      number<int>(
          "sync.delay", "steps by which gradients are used late, while they are added up", {0, 1},
          [](O& o) -> auto& { return o.sync.delay; }).changing_past(),
      optional_number<std::int64_t>(
          "sync.local.period", "data ranks update alone, and average their parameters every so many steps", {1, 1 << 30},
          [](O& o) -> auto& { return o.sync.local_period; }).used_when(has_peers),
      number<std::int64_t>(
          "sync.local.start", "first steps of the run that are synchronous all the same; default: 0", {0, 1'000'000'000},
          [](O& o) -> auto& { return o.sync.local.start; }).used_when(has_local_steps),
      choice(
          "sync.local.states", "of the optimizer, when parameters are averaged",
          std::array{step::LocalStates::keep, step::LocalStates::average, step::LocalStates::reset},
          [](O& o) -> auto& { return o.sync.local.states; }).used_when(has_local_steps),
      number<double>(
          "sync.local.outer-rate", "learning rate of the step from one average to the next; default: 1", {0, 10, true},
          [](O& o) -> auto& { return o.sync.local.outer_rate; }).used_when(has_local_steps),
      number<double>(
          "sync.local.outer-momentum", "of that step; default: 0", {0, 1},
          [](O& o) -> auto& { return o.sync.local.outer_momentum; }).used_when(has_local_steps),
      number<int>(
          "sync.ranks-per-node", "imitates nodes of so many ranks; 0: the real nodes", {0, 1 << 20},
          [](O& o) -> auto& { return o.sync.ranks_per_node; }).used_when(has_peers),
      device_messages(),
      number<int>(
          "server.count", "ranks of the data axis, the last ones, that take no samples, but hold parameters and update them; default: 0",
          {0, 1 << 20}, [](O& o) -> auto& { return o.server.count; }).used_when(has_peers),
      server_bound(),
      number<std::int64_t>(
          "server.synchronous-steps", "first steps of the run that are synchronous all the same; default: 0", {0, 1'000'000'000},
          [](O& o) -> auto& { return o.server.synchronous_steps; }).used_when(is_asynchronous),
      {.name = "server.replay",
       .meaning = "a result of asynchronous servers: pushes are taken in the order of its /pushes",
       .read = [](O& o, const std::string& value) { return o.server.replay = value, std::string(); },
       .print =
           [](const O& o) {
             return o.server.replay.empty() ? std::nullopt : std::optional(o.server.replay.string());
           },
       .used = is_asynchronous},
      choice(
          "compute.backend", "kernels", std::array{Backend::cpu, Backend::reference, Backend::cuda},
          [](O& o) -> auto& { return o.backend; }),
      {.name = "compute.gemm",
       .meaning = "matrix products of the cuda kernels: auto, a kernel's name, or cublas",
       .read = [](O& o, const std::string& value) { return o.gemm = value, std::string(); },
       .print = [](const O& o) { return o.gemm == "auto" ? std::nullopt : std::optional(o.gemm); }},
      number<int>(
          "compute.threads", "threads a rank; 0: its share of the node's cores", {0, 4096},
          [](O& o) -> auto& { return o.threads; }, false).used_when([](const O& o) { return o.backend == Backend::cpu; }),
      number<double>(
          "watchdog.seconds", "a rank waits for others so long before the job is ended with a report; 0: for ever",
          {0, no_limit}, [](O& o) -> auto& { return o.watchdog_seconds; }, false).as(KeyRole::none),
  };
}

Key path(std::string name, std::string meaning, std::filesystem::path RunOptions::*member) {
  return {.name = std::move(name),
          .meaning = std::move(meaning),
          .decides_result = false,
          .role = KeyRole::none,
          .read = [=](RunOptions& o, const std::string& value) { return o.*member = value, std::string(); },
          .print =
              [=](const RunOptions& o) {
                return (o.*member).empty() ? std::nullopt : std::optional((o.*member).string());
              }};
}

/// "head, conv*".
Key load_skip() {
  return {.name = "load-model.skip",
          .meaning = "layers that a training draws anew instead of loading them: names, or patterns with *, "
                     "separated by commas",
          .only = base::RunKind::training,
          .read =
              [](RunOptions& o, const std::string& value) -> std::string {
                o.load_skip.clear();
                std::istringstream list(value);
                for (std::string name; std::getline(list, name, ',');) {
                  name.erase(0, name.find_first_not_of(" \t"));
                  name.erase(name.find_last_not_of(" \t") + 1);
                  auto plain = name;
                  std::replace(plain.begin(), plain.end(), '*', '_');
                  if (!model::is_layer_name(plain)) return "must be names of layers, or patterns with *, separated by commas";
                  o.load_skip.push_back(name);
                }
                return "";
              },
          .print = [](const RunOptions& o) -> std::optional<std::string> {
            std::string list;
            for (const auto& name : o.load_skip)
              list += (list.empty() ? "" : ", ") + name;
            return list.empty() ? std::nullopt : std::optional(list);
          }};
}

// clang-format on

}  // namespace

std::string_view to_string(Backend backend) {
  static constexpr std::array<std::string_view, 3> names{"reference", "cpu", "cuda"};
  return names[static_cast<std::size_t>(backend)];
}
std::string_view to_string(Precision precision) {
  static constexpr std::array<std::string_view, 4> names{"fp32", "fp64", "tf32", "bf16"};
  return names[static_cast<std::size_t>(precision)];
}
std::string_view to_string(LearningRateSchedule schedule) {
  return schedule == LearningRateSchedule::constant ? "constant"
         : schedule == LearningRateSchedule::step   ? "step"
                                                    : "cosine";
}

const std::vector<Key>& keys() {
  static const std::vector<Key> all = [] {
    std::vector<Key> keys = grid_and_model_keys();
    for (auto part : {train_keys(), checkpoint_keys(), infer_keys(), machine_keys(), data_keys()})
      for (auto& key : part)
        keys.push_back(std::move(key));
    keys.push_back(optional_number<int>(
        "print-program", "print the step program of this rank, run nothing", {0, 1 << 30},
        [](RunOptions & o) -> auto& { return o.print_program; }));
    keys.back().decides_result = false;
    keys.back().role = KeyRole::none;
    keys.push_back(path("output", "result file to write (HDF5)", &RunOptions::output));
    keys.push_back(path("save-model", "model file to write at the end (HDF5)", &RunOptions::save_model));
    keys.push_back(path("load-model", "model file to start from: its layers of the same names",
                        &RunOptions::load_model));
    keys.back().decides_result = true;
    keys.back().role = KeyRole::start;
    keys.back().changes_past = true;
    keys.back().means = [path = keys.back().print](const RunOptions& o) {
      return o.load_model_hash.empty() ? path(o) : o.load_model_hash;
    };
    keys.push_back(load_skip().changing_past());
    return keys;
  }();
  return all;
}

std::optional<std::string> meaning(const Key& key, const RunOptions& options) {
  static const RunOptions defaults;
  const auto& of = is_used(key, options) ? options : defaults;
  return key.means ? key.means(of) : key.print(of);
}

base::KeyRole role_of(std::string_view name, base::RunKind kind) {
  const auto found = std::ranges::find(keys(), name, &Key::name);
  if (found == keys().end()) return KeyRole::choice;
  return found->only.value_or(kind) == kind ? found->role : KeyRole::none;
}

}  // namespace partita::config
