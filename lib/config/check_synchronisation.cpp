/// Ways to synchronise that do not go with each other, or with what else is asked for.
#include <algorithm>
#include <cmath>
#include <string>

#include "checks.hpp"
#include "partita/base/number.hpp"
#include "partita/kernels/fixed_point.hpp"

namespace partita::config {

using base::Violation;

step::Cadence cadence_of(const RunOptions& options) {
  const auto& server = options.server;
  step::Cadence cadence{.local = options.sync.local,
                        .is_delayed = options.sync.delay > 0,
                        .servers = {.count = server.count,
                                    .is_asynchronous = server.count > 0 && server.is_asynchronous,
                                    .bound = server.bound,
                                    .synchronous_steps = server.synchronous_steps}};
  cadence.local.period = options.sync.local_period.value_or(0);
  cadence.local.state_vectors = static_cast<int>(kernels::states_of(options.train.optimizer.rule).size());
  return cadence;
}

bool has_usual_steps(const RunOptions& options) {
  return cadence_of(options).is_uniform() && options.server.count == 0;
}

base::Violation about_cadence(const RunOptions& options, const std::string& excluded) {
  const auto cadence = cadence_of(options);
  if (cadence.local.is_on())
    return {"sync.local.period", number(cadence.local.period),
            "excludes " + excluded + "; the nearest is without it"};
  if (!cadence.is_delayed && cadence.servers.is_on())
    return {"server.count", number(cadence.servers.count), "excludes " + excluded + "; the nearest is 0"};
  return {"sync.delay", number(options.sync.delay), "excludes " + excluded + "; the nearest is 0"};
}

base::Violation about_secure(const std::string& excluded) {
  return {"sync.secure", "true",
          "excludes " + excluded + ", which also tries fewer than 3 data ranks; the nearest is false"};
}

std::string text_of_weights(const RunOptions& options) {
  if (options.measures_weights) return "measured";
  std::string text;
  for (const double weight : options.weights)
    text += (text.empty() ? "" : ",") + base::shortest(weight);
  return text;
}

std::string layer_with_statistics(const model::ModelSpec& model) {
  const auto layer = std::ranges::find_if(model.layers, [](const auto& l) { return l.takes_statistics(); });
  return layer == model.layers.end() ? "" : layer->name;
}

namespace {

/// The largest rank of factors that makes a tensor of the model smaller; 0: none does.
std::int64_t largest_rank(const model::ModelSpec& model) {
  std::int64_t largest = 0;
  for (const auto& layer : model.layers)
    for (const auto& parameter : layer.parameters()) {
      if (!layer.trains(parameter)) continue;
      const auto columns = parameter.columns(), rows = parameter.shape.elements().value() / columns;
      largest = std::max(largest, (rows * columns - 1) / (2 * (rows + columns)));
    }
  return largest;
}

void check_compression(const RunOptions& options, const plan::Request& request,
                       std::vector<Violation>& violations) {
  const auto& compression = request.compression;
  if (!compression.is_on() || request.grid.size() == 1) return;
  const auto codec = options.sync.compression.codec;  // also where sync.secure takes its place
  if (codec == kernels::Codec::none) return;
  const auto refuse = [&](const std::string& what) {
    violations.push_back({"sync.compress", std::string(to_string(codec)), what});
  };
  if (request.grains > 0)
    refuse("excludes train.deterministic=true, whose sums are exact; the nearest is none");
  if (request.split != step::Split::none && !kernels::codes_values(codec))
    refuse("excludes sync.split, of whose shares it has no codes; the nearest are int8 and sign");
  else if (request.split != step::Split::none && request.grid.tensor > 1)
    refuse(
        "excludes sync.split with grid.tensor above 1, where shares of copies differ; the nearest is none");
  if (options.backend == Backend::cuda)
    refuse("needs compute.backend=cpu or reference, which have codecs; on cuda the nearest is none");
  if (codec != kernels::Codec::powersgd) return;
  const auto largest = largest_rank(options.model);
  if (largest == 0)
    refuse("makes no tensor of this model smaller; the nearest is topk");
  else if (compression.rank > largest)
    violations.push_back({"sync.powersgd-rank", number(compression.rank),
                          "makes no tensor of this model smaller; the nearest is " + number(largest)});
}

/// The most bits behind the binary point with which so many ranks may each add an element of 1; none: -1.
int most_bits(int ranks) {
  int bits = -1;
  while (kernels::largest_term(ranks) >> (bits + 1) > 0)
    ++bits;
  return bits;
}

/// What else data ranks tell each other of what they alone know, and what has no order of sums.
void check_secure(const RunOptions& options, const plan::Request& request,
                  std::vector<Violation>& violations) {
  if (!options.sync.secure) return;
  const auto refuse = [&](bool is_so, const std::string& what) {
    if (is_so) violations.push_back({"sync.secure", "true", what});
  };
  const int ranks = request.grid.data;
  refuse(ranks < 3,
         "needs groups of at least 3 data ranks, here they have " + number(ranks) +
             ": of two each learns the other's from the sum; the nearest is false, or grid.data=3");
  refuse(options.sync.compression.is_on(),
         "excludes sync.compress=" + std::string(to_string(options.sync.compression.codec)) +
             ", whose codes are in the open; the nearest is false");
  refuse(request.grains > 0,
         "excludes train.deterministic=true, which adds in floating point; the nearest is false");
  refuse(request.cadence.local.is_on(),
         "excludes sync.local.period, whose averages are of parameters; the nearest is false");
  refuse(options.backend == Backend::cuda,
         "needs compute.backend=cpu or reference, which have fixed point; on cuda the nearest is false");
  const auto layer = layer_with_statistics(options.model);
  refuse(
      !layer.empty(),
      "excludes " + layer +
          ", whose statistics data ranks add up in the open; the nearest is false, or 'frozen' on its line: "
          "then it uses running ones");
  const auto tensor = static_cast<std::int64_t>(request.grid.tensor);
  const int bits = request.compression.bits, most = most_bits(static_cast<int>(ranks * tensor));
  if (bits > most)
    violations.push_back(
        {"sync.secure-bits", number(bits),
         "leaves no room for an element of 1 from each of the up to " + number(ranks * tensor) +
             " ranks of a group, whose sum must be below 2^31; the nearest is " + number(most)});
}

void check_weights(const RunOptions& options, std::vector<Violation>& violations) {
  if (options.weights.empty() && !options.measures_weights) return;
  const auto refuse = [&](bool is_so, const std::string& what) {
    if (is_so) violations.push_back({"grid.weights", text_of_weights(options), what});
  };
  const auto count = std::ssize(options.weights),
             workers = std::int64_t{options.grid.data} - options.server.count;
  const std::string who = options.server.count > 0 ? "data ranks that take samples" : "data ranks";
  refuse(!options.measures_weights && count != workers,
         "are " + number(count) + ", but the " + who + " are " + number(workers) + "; give one for each");
  constexpr double least = 1e-6;  // of the largest
  refuse(
      count > 0 && std::ranges::min(options.weights) < least * std::ranges::max(options.weights),
      "has one below a millionth of the largest, as which it would count; the nearest is without that rank");
  refuse(options.measures_weights && options.server.count > 0,
         "excludes server.count, whose workers take even shares; the nearest is without it");
  refuse(options.train.deterministic,
         "excludes train.deterministic=true, whose grains are even shares; the nearest is without it");
  refuse(options.measures_weights && options.automatic.replan,
         "excludes auto.replan, which changes the whole split; the nearest is without it");
}

/// Where steps are not all alike.
void check_cadence(const RunOptions& options, const plan::Request& request,
                   std::vector<Violation>& violations) {
  if (!request.cadence.local.is_on() && !request.cadence.is_delayed) return;
  const bool is_local = request.cadence.local.is_on();
  const auto refuse = [&](bool is_so, const std::string& what) {
    if (is_so) violations.push_back(about_cadence(options, what));
  };
  refuse(is_local && request.cadence.is_delayed, "sync.delay, which is of gradients that all ranks add up");
  refuse(request.grains > 0, "train.deterministic=true, which takes every step as one rank would");
  refuse(is_local && request.compression.is_on() && !request.compression.is_secure(),
         "sync.compress, whose residuals are of the step");
  refuse(!is_local && request.compression.codec == kernels::Codec::fp16,
         "sync.compress=fp16, whose scale may change before gradients are used");
  refuse(is_local && request.split != step::Split::none, "sync.split, whose ranks update shares");
  refuse(!is_local && request.split == step::Split::parameter,
         "sync.split=parameter, which gathers before use");
  refuse(options.backend == Backend::cuda, "compute.backend=cuda, which takes steps that are all alike");
  const auto layer = layer_with_statistics(options.model);
  refuse(is_local && !layer.empty(),
         layer + ", whose statistics are of all data ranks: 'frozen' on its line uses running ones");
}

/// What says more of a way to synchronise that is not asked for.
void check_unused(const RunOptions& options, std::vector<Violation>& violations) {
  const auto& sync = options.sync;
  const SyncOptions usual;
  const auto refuse = [&](bool is_so, const char* key, const std::string& value, const std::string& what) {
    if (is_so) violations.push_back({key, value, what});
  };
  const std::string of_secure = "is of secure sums: it needs sync.secure=true";
  refuse(!sync.secure && sync.compression.bits != usual.compression.bits, "sync.secure-bits",
         number(sync.compression.bits), of_secure);
  if (sync.local_period) return;
  const std::string of_local = "is of local steps: it needs sync.local.period";
  refuse(sync.local.start != usual.local.start, "sync.local.start", number(sync.local.start), of_local);
  refuse(sync.local.states != usual.local.states, "sync.local.states",
         std::string(to_string(sync.local.states)), of_local);
  refuse(sync.local.outer_rate != usual.local.outer_rate, "sync.local.outer-rate",
         base::shortest(sync.local.outer_rate), of_local);
  refuse(sync.local.outer_momentum != usual.local.outer_momentum, "sync.local.outer-momentum",
         base::shortest(sync.local.outer_momentum), of_local);
}

/// In the deterministic mode sums are those of whole tensors, which no rank has the gradients of.
void check_split(const RunOptions& options, const plan::Request& request,
                 std::vector<Violation>& violations) {
  if (request.split == step::Split::none || request.grains == 0) return;
  const auto refuse = [&](const std::string& key) {
    violations.push_back({"sync.split", std::string(to_string(request.split)),
                          "excludes " + key +
                              " in the deterministic mode, where norms are those of whole "
                              "tensors; the nearest is none"});
  };
  if (request.norms.of_gradient) refuse("train.clip-norm");
  if (request.norms.of_tensors)
    refuse("train.optimizer=" + std::string(to_string(options.train.optimizer.rule)));
}

/// A tensor that ranks share has a norm that none of them knows.
void check_norms(const RunOptions& options, const plan::Request& request,
                 std::vector<Violation>& violations) {
  const int tensor = options.grid.tensor;
  if (request.norms.of_tensors && tensor > 1)
    violations.push_back({"grid.tensor", number(tensor),
                          "excludes train.optimizer=" + std::string(to_string(options.train.optimizer.rule)) +
                              ", which takes norms of whole tensors; the nearest is 1"});
}

}  // namespace

void check_synchronisation(const RunOptions& options, const plan::Request& request,
                           std::vector<Violation>& violations) {
  check_norms(options, request, violations);
  check_split(options, request, violations);
  check_compression(options, request, violations);
  check_secure(options, request, violations);
  check_cadence(options, request, violations);
  check_weights(options, violations);
  check_unused(options, violations);
  check_servers(options, violations);
}

}  // namespace partita::config
