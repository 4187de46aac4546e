#include "keys.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>

namespace partita::config {
namespace {

template <class T>
std::string text_of(T value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else {
    char buffer[64];
    return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  }
}

std::string_view to_string(data::Task task) {
  return task == data::Task::classification ? "classification" : "regression";
}

/// Bounds of a number; `open` excludes the lower one.
template <class T>
struct Bounds {
  T least, most;
  bool open = false;
};

template <class T>
std::string allowed(const Bounds<T>& bounds) {
  return std::string(std::is_integral_v<T> ? "a whole number " : "a number ") +
         (bounds.open ? "above " : "from ") + text_of(bounds.least) + " to " + text_of(bounds.most);
}

/// "; the nearest is …", where there is one: a NaN and a word have none.
template <class T>
std::string nearest(const Bounds<T>& bounds, bool below) {
  if (below && bounds.open) return "; the nearest lie just above " + text_of(bounds.least);
  return "; the nearest is " + text_of(below ? bounds.least : bounds.most);
}

/// Parses strictly: the whole text, no sign lost, no infinity, no NaN.
template <class T>
std::string read_number(const std::string& text, const Bounds<T>& bounds, T& target) {
  const bool negative = text.starts_with('-');
  T value{};
  // An unsigned type refuses the sign itself.
  const char* const begin = text.data() + (std::is_unsigned_v<T> && negative ? 1 : 0);
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  const std::string must = "must be " + allowed(bounds);
  if (text.empty() || end != text.data() + text.size() || error == std::errc::invalid_argument ||
      value != value)
    return must;
  if (error == std::errc::result_out_of_range || (std::is_unsigned_v<T> && negative)) {
    const bool tiny = std::is_floating_point_v<T> && text.find("e-") != std::string::npos;
    return must + nearest(bounds, negative || tiny);
  }
  if (value < bounds.least || (bounds.open && value == bounds.least)) return must + nearest(bounds, true);
  if (value > bounds.most) return must + nearest(bounds, false);
  return target = value, "";
}

/// A key for which only one value can work until more is built.
Key with_note(Key key, const std::string& note) {
  key.read = [read = key.read, note](RunOptions& o, const std::string& text) {
    const auto wrong = read(o, text);
    return wrong.empty() ? wrong : wrong + "; " + note;
  };
  return key;
}

template <class T, class Get>
Key number(std::string name, std::string meaning, Bounds<T> bounds, Get get, bool decides = true) {
  meaning += " (" + allowed(bounds) + ")";
  return {
      .name = std::move(name),
      .meaning = std::move(meaning),
      .decides_result = decides,
      .read = [=](RunOptions& o, const std::string& text) { return read_number<T>(text, bounds, get(o)); },
      .print = [=](const RunOptions& o) { return text_of<T>(get(const_cast<RunOptions&>(o))); }};
}

template <class T, class Get>
Key optional_number(std::string name, std::string meaning, Bounds<T> bounds, Get get) {
  meaning += " (" + allowed(bounds) + ")";
  return {.name = std::move(name),
          .meaning = std::move(meaning),
          .read =
              [=](RunOptions& o, const std::string& text) {
                T value{};
                const auto wrong = read_number<T>(text, bounds, value);
                if (wrong.empty()) get(o) = std::decay_t<decltype(*get(o))>(value);
                return wrong;
              },
          .print = [=](const RunOptions& o) -> std::optional<std::string> {
            const auto& value = get(const_cast<RunOptions&>(o));
            if (!value) return std::nullopt;
            if constexpr (requires { value->value(); })
              return text_of<T>(value->value());
            else
              return text_of<T>(*value);
          }};
}

template <class Get>
Key boolean(std::string name, std::string meaning, Get get, bool decides = true) {
  return {.name = std::move(name),
          .meaning = std::move(meaning) + " (true or false)",
          .decides_result = decides,
          .read = [=](RunOptions& o, const std::string& text) -> std::string {
            if (text != "true" && text != "false") return "must be true or false";
            get(o) = text == "true";
            return "";
          },
          .print = [=](const RunOptions& o) { return text_of<bool>(get(const_cast<RunOptions&>(o))); }};
}

template <class Get>
Key text(std::string name, std::string meaning, Get get, bool decides = true) {
  return {.name = std::move(name),
          .meaning = std::move(meaning),
          .decides_result = decides,
          .read = [=](RunOptions& o, const std::string& value) { return get(o) = value, std::string(); },
          .print = [=](const RunOptions& o) -> std::optional<std::string> {
            const std::string value = get(const_cast<RunOptions&>(o));
            return value.empty() ? std::nullopt : std::optional(value);
          }};
}

/// One of a few words; E has a to_string.
template <class E, std::size_t N, class Get>
Key choice(std::string name, std::string meaning, std::array<E, N> values, Get get,
           std::string not_yet = "") {
  std::string words;
  for (const E value : values)
    words += (words.empty() ? "" : " | ") + std::string(to_string(value));
  return {
      .name = std::move(name),
      .meaning = meaning + " (" + words + ")",
      .read = [=](RunOptions& o, const std::string& value) -> std::string {
        for (const E candidate : values)
          if (value == to_string(candidate)) return get(o) = candidate, "";
        return "must be one of " + words + (not_yet.empty() ? "" : "; " + not_yet);
      },
      .print = [=](const RunOptions& o) { return std::string(to_string(get(const_cast<RunOptions&>(o)))); }};
}

/// "10" or "3x32x32".
std::string read_shape(const std::string& text, kernels::Shape& target) {
  std::vector<std::int64_t> extents;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find('x', begin), text.size());
    std::int64_t extent = 0;
    if (!read_number<std::int64_t>(text.substr(begin, end - begin), {1, 1 << 24}, extent).empty())
      return "must be N or CHANNELSxHEIGHTxWIDTH with extents of at least 1";
    extents.push_back(extent);
    begin = end + 1;
  }
  if (extents.size() == 1) return target = {extents[0]}, "";
  if (extents.size() == 3) return target = {extents[0], extents[1], extents[2]}, "";
  return "must have one extent or three";
}

template <class Get>
Key shape(std::string name, std::string meaning, Get get) {
  return {.name = std::move(name),
          .meaning = std::move(meaning) + " (N or CxHxW)",
          .read = [=](RunOptions& o, const std::string& value) { return read_shape(value, get(o)); },
          .print = [=](const RunOptions& o) { return to_string(get(const_cast<RunOptions&>(o))); }};
}

constexpr std::int64_t large = 1LL << 40;
constexpr double no_limit = 1e30;

std::vector<Key> grid_and_model_keys() {
  using O = RunOptions;
  return {
      optional_number<int>(
          "grid.data", "ranks along the data axis; without grid keys: all", {1, 1 << 20},
          [](O & o) -> auto& { return o.data_ranks; }),
      with_note(number<int>(
                    "grid.pipeline", "ranks along the pipeline axis", {1, 1},
                    [](O & o) -> auto& { return o.grid.pipeline; }),
                "pipelines are not available yet"),
      with_note(number<int>(
                    "grid.tensor", "ranks along the tensor axis", {1, 1},
                    [](O & o) -> auto& { return o.grid.tensor; }),
                "tensor parallelism is not available yet"),
      text(
          "model.name", "name of the model", [](O & o) -> auto& { return o.model_text.name; }, false),
      text(
          "model.input", "shape of a sample, such as 784 or 1x28x28",
          [](O & o) -> auto& { return o.model_text.input; }),
      text(
          "model.loss", "cross-entropy or mse", [](O & o) -> auto& { return o.model_text.loss; }),
      choice(
          "model.init", "initial parameters",
          std::array{model::Initializer::torch, model::Initializer::kaiming},
          [](O & o) -> auto& { return o.init; }),
  };
}

/// Printed only where it is not derived from the batch of a rank.
Key global_batch() {
  Key key = number<std::int64_t>(
      "train.batch", "global batch in samples", {1, large},
      [](RunOptions & o) -> auto& { return o.train.batch; });
  key.print = [plain = key.print](const RunOptions& o) {
    return o.train.batch_per_rank ? std::nullopt : plain(o);
  };
  return key;
}

std::vector<Key> train_keys() {
  using O = RunOptions;
  return {
      number<std::int64_t>(
          "train.epochs", "passes over the training set", {0, 1 << 20},
          [](O & o) -> auto& { return o.train.epochs; }),
      optional_number<std::int64_t>(
          "train.steps", "limits the steps and wins over epochs; 0 only initialises", {0, large},
          [](O & o) -> auto& { return o.train.steps; }),
      global_batch(),
      optional_number<std::int64_t>(
          "train.batch-per-rank", "samples a data rank, instead of train.batch (weak scaling)", {1, large},
          [](O & o) -> auto& { return o.train.batch_per_rank; }),
      number<double>(
          "train.learning-rate", "η of SGD", {0, no_limit, true},
          [](O & o) -> auto& { return o.train.learning_rate; }),
      choice(
          "train.schedule", "of the learning rate after the warm-up",
          std::array{LearningRateSchedule::constant, LearningRateSchedule::step,
                     LearningRateSchedule::cosine},
          [](O & o) -> auto& { return o.train.schedule; }),
      number<std::int64_t>(
          "train.warmup-steps", "steps of linear warm-up", {0, large},
          [](O & o) -> auto& { return o.train.warmup_steps; }),
      number<std::int64_t>(
          "train.step-epochs", "epochs between two factors of gamma (schedule step)", {1, 1 << 20},
          [](O & o) -> auto& { return o.train.step_epochs; }),
      number<double>(
          "train.gamma", "factor of the learning rate (schedule step)", {0, 1, true},
          [](O & o) -> auto& { return o.train.gamma; }),
      number<double>(
          "train.momentum", "µ of SGD", {0, 1}, [](O & o) -> auto& { return o.train.momentum; }),
      number<double>(
          "train.weight-decay", "added to the gradient, times the weight", {0, no_limit},
          [](O & o) -> auto& { return o.train.weight_decay; }),
      number<std::uint64_t>(
          "train.seed", "of parameters, shuffles and dropout", {0, UINT64_MAX},
          [](O & o) -> auto& { return o.train.seed; }),
      choice(
          "train.precision", "of parameters and arithmetic", std::array{Precision::fp32, Precision::fp64},
          [](O & o) -> auto& { return o.train.precision; }, "bf16 and tf32 are not available yet"),
      boolean(
          "train.shuffle", "a new order of the samples each epoch",
          [](O & o) -> auto& { return o.train.shuffle; }),
      optional_number<double>(
          "train.target-accuracy", "stop once the test accuracy reaches this", {0, 1},
          [](O & o) -> auto& { return o.train.target_accuracy; }),
      number<std::int64_t>(
          "evaluate.every", "epochs between evaluations; 0: never", {0, 1 << 20},
          [](O & o) -> auto& { return o.evaluate_every; }),
      number<double>(
          "snapshot.seconds", "between snapshots of the result inside an epoch; 0: at epochs only",
          {0, no_limit}, [](O & o) -> auto& { return o.snapshot_seconds; }, false),
  };
}

/// Counts are read as 64-bit numbers; these two keys store another type.
Key bucket_bytes() {
  const Bounds<std::int64_t> bounds{1, large};
  return {.name = "sync.bucket-bytes",
          .meaning = "a gradient bucket is closed at this size (" + allowed(bounds) + ")",
          .read =
              [=](RunOptions& o, const std::string& value) {
                std::int64_t bytes = 0;
                const auto wrong = read_number(value, bounds, bytes);
                if (wrong.empty()) o.sync.bucket_bytes = kernels::Bytes(bytes);
                return wrong;
              },
          .print = [](const RunOptions& o) { return text_of(o.sync.bucket_bytes.value()); }};
}

std::vector<Key> machine_keys() {
  using O = RunOptions;
  using collective::Algorithm;
  return {
      choice(
          "sync.algorithm", "of the gradient all-reduce",
          std::array{Algorithm::automatic, Algorithm::ring, Algorithm::recursive_doubling,
                     Algorithm::halving_doubling, Algorithm::window, Algorithm::hierarchical, Algorithm::mpi},
          [](O & o) -> auto& { return o.sync.algorithm; }),
      {.name = "sync.table",
       .meaning = "table of algorithms for auto, as partita-bench-comm writes it (default: the shipped one)",
       .decides_result = false,
       .read = [](O& o, const std::string& value) { return o.sync.table = value, std::string(); },
       .print =
           [](const O& o) {
             return o.sync.table.empty() ? std::nullopt : std::optional(o.sync.table.string());
           }},
      bucket_bytes(),
      number<int>(
          "sync.ranks-per-node", "imitates nodes of so many ranks; 0: the real nodes", {0, 1 << 20},
          [](O & o) -> auto& { return o.sync.ranks_per_node; }),
      choice(
          "compute.backend", "kernels", std::array{Backend::cpu, Backend::reference},
          [](O & o) -> auto& { return o.backend; }),
      number<int>(
          "compute.threads", "threads a rank; 0: its share of the node's cores", {0, 4096},
          [](O & o) -> auto& { return o.threads; }, false),
  };
}

std::vector<Key> data_keys() {
  using O = RunOptions;
  return {
      text(
          "data.name", "digits, random, or the folder of an IDX set",
          [](O & o) -> auto& { return o.data.name; }),
      {.name = "data.dir",
       .meaning = "folder of the data sets (default: PARTITA_DATA_DIR)",
       .decides_result = false,
       .read = [](O& o, const std::string& value) { return o.data.dir = value, std::string(); },
       .print =
           [](const O& o) { return o.data.dir.empty() ? std::nullopt : std::optional(o.data.dir.string()); }},
      optional_number<double>(
          "data.mean", "subtracted from pixels in [0, 1]; default: the training set's", {-no_limit, no_limit},
          [](O & o) -> auto& { return o.data.mean; }),
      optional_number<double>(
          "data.std", "divides the pixels; default: the training set's", {0, no_limit, true},
          [](O & o) -> auto& { return o.data.stddev; }),
      optional_number<std::int64_t>(
          "data.train-samples", "training samples used or drawn", {1, large},
          [](O & o) -> auto& { return o.data.train_samples; }),
      optional_number<std::int64_t>(
          "data.test-samples", "test samples used or drawn", {1, large},
          [](O & o) -> auto& { return o.data.test_samples; }),
      number<std::uint64_t>(
          "data.seed", "of synthetic data", {0, UINT64_MAX}, [](O & o) -> auto& { return o.data.seed; }),
      choice(
          "data.task", "of random data", std::array{data::Task::regression, data::Task::classification},
          [](O & o) -> auto& { return o.data.random.task; }),
      shape(
          "data.features", "of a sample of random data",
          [](O & o) -> auto& { return o.data.random.features; }),
      shape(
          "data.targets", "of a target of random data (regression)",
          [](O & o) -> auto& { return o.data.random.targets; }),
      number<std::int64_t>(
          "data.classes", "of random data (classification)", {2, 1 << 24},
          [](O & o) -> auto& { return o.data.random.classes; }),
  };
}

Key path(std::string name, std::string meaning, std::filesystem::path RunOptions::*member) {
  return {.name = std::move(name),
          .meaning = std::move(meaning),
          .decides_result = false,
          .read = [=](RunOptions& o, const std::string& value) { return o.*member = value, std::string(); },
          .print =
              [=](const RunOptions& o) {
                return (o.*member).empty() ? std::nullopt : std::optional((o.*member).string());
              }};
}

}  // namespace

std::string_view to_string(Backend backend) { return backend == Backend::cpu ? "cpu" : "reference"; }
std::string_view to_string(Precision precision) { return precision == Precision::fp32 ? "fp32" : "fp64"; }
std::string_view to_string(LearningRateSchedule schedule) {
  return schedule == LearningRateSchedule::constant ? "constant"
         : schedule == LearningRateSchedule::step   ? "step"
                                                    : "cosine";
}

const std::vector<Key>& keys() {
  static const std::vector<Key> all = [] {
    std::vector<Key> keys = grid_and_model_keys();
    for (auto part : {train_keys(), machine_keys(), data_keys()})
      for (auto& key : part)
        keys.push_back(std::move(key));
    keys.push_back(path("output", "result file to write (HDF5)", &RunOptions::output));
    keys.push_back(path("save-model", "model file to write at the end (HDF5)", &RunOptions::save_model));
    return keys;
  }();
  return all;
}

}  // namespace partita::config
