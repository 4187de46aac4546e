/// What a key is called elsewhere: by other frameworks, launchers and papers.
#include <algorithm>
#include <cctype>
#include <sstream>

#include "keys.hpp"
#include "partita/base/nearest.hpp"

namespace partita::config {
namespace {

struct Synonyms {
  std::string_view key;
  std::string_view words;  ///< lower case, with '-' for '_', separated by blanks
};

constexpr Synonyms synonyms[] = {
    {"train.learning-rate", "lr eta step-size base-lr init-lr alpha learningrate"},
    {"train.batch", "batch-size bs batchsize global-batch-size global-batch train-batch-size minibatch-size"},
    {"train.batch-per-rank",
     "batch-size-per-gpu per-device-train-batch-size local-batch-size batch-per-gpu "
     "micro-batch-size train-micro-batch-size-per-gpu samples-per-gpu"},
    {"train.epochs", "epoch num-epochs n-epochs max-epochs num-train-epochs nepochs"},
    {"train.steps", "max-steps num-steps iterations iters max-iters max-iterations train-iters niter"},
    {"train.seed", "random-seed manual-seed rng-seed random-state"},
    {"train.schedule", "lr-scheduler scheduler lr-schedule lr-policy lr-decay-style lr-scheduler-type"},
    {"train.warmup-steps", "lr-warmup-iters num-warmup-steps warmup-iters warmup-epochs lr-warmup"},
    {"train.step-epochs", "lr-step lr-step-size decay-epochs decay-steps milestones"},
    {"train.gamma", "lr-gamma lr-decay decay decay-rate"},
    {"train.optimizer", "optim opt opt-name optimizer-name update-rule"},
    {"train.momentum", "sgd-momentum mu beta"},
    {"train.beta1", "adam-beta1 beta-1 betas beta"},
    {"train.beta2", "adam-beta2 beta-2 betas"},
    {"train.epsilon", "eps adam-eps adam-epsilon"},
    {"train.trust", "trust-coefficient trust-coef lars-eta eeta"},
    {"train.clip-norm",
     "clip max-norm max-grad-norm clip-grad clip-grad-norm gradient-clip-val gradient-clipping grad-clip"},
    {"train.weight-decay", "wd l2 weightdecay l2-regularization regularization lambda"},
    {"train.precision", "dtype amp fp16 bf16 fp32 fp64 tf32 half mixed-precision datatype"},
    {"train.shuffle", "no-shuffle randomize"},
    {"train.deterministic", "cudnn-deterministic reproducible use-deterministic-algorithms bitwise"},
    {"train.target-accuracy", "target early-stopping stop-accuracy target-acc quality-target"},
    {"evaluate.every",
     "eval-interval eval-every eval-steps val-interval validate-every test-every eval-freq"},
    {"checkpoint.every", "save-every save-interval save-steps checkpoint-interval save-freq checkpoint-freq"},
    {"checkpoint.dir", "ckpt-dir checkpoint-path ckpt-path checkpoints save-dir"},
    {"checkpoint.keep", "save-total-limit keep-last max-to-keep"},
    {"grid.data", "dp data-parallel data-parallel-size ddp dp-size replicas"},
    {"grid.pipeline",
     "pp stages pipeline-parallel pipeline-parallel-size pipeline-model-parallel-size pp-size "
     "num-stages"},
    {"grid.tensor",
     "tp mp model-parallel tensor-parallel tensor-parallel-size tensor-model-parallel-size "
     "model-parallel-size tp-size"},
    {"pipeline.microbatches", "micro-batches num-microbatches"},
    {"train.accumulate",
     "gradient-accumulation-steps accumulation-steps grad-accum grad-accumulation-steps "
     "accumulate-grad-batches"},
    {"grid.weights", "batch-weights rank-weights shares load-balance"},
    {"pipeline.chunks", "virtual-stages num-layers-per-virtual-pipeline-stage virtual-pipeline-size"},
    {"strategy", "parallelism distribution parallel"},
    {"model.file", "model arch net architecture network"},
    {"model.layer", "layers"},
    {"model.loss", "criterion loss-fn loss-function objective"},
    {"model.init", "initializer initialization weight-init"},
    {"model.input", "input-shape input-size image-size in-features"},
    {"data.name", "dataset data-set task-name"},
    {"data.dir", "data-path data-dir dataroot data-root root dataset-dir"},
    {"data.train-samples", "limit-train num-train train-size n-samples num-samples samples"},
    {"data.test-samples", "limit-test num-test test-size val-size"},
    {"data.classes", "num-classes n-classes nclasses labels"},
    {"data.std", "stddev sigma"},
    {"infer.batch", "test-batch-size eval-batch-size val-batch-size per-device-eval-batch-size"},
    {"sync.algorithm", "allreduce all-reduce collective allreduce-algorithm"},
    {"sync.split", "zero zero-stage zero-optimization fsdp sharding sharding-strategy shard"},
    {"sync.compress", "compression codec gradient-compression quantization fp16-compression comm-hook"},
    {"sync.error-feedback", "residual residuals feedback"},
    {"sync.topk-ratio", "topk sparsity compress-ratio density"},
    {"sync.powersgd-rank", "matrix-approximation-rank low-rank"},
    {"server.count", "parameter-server parameter-servers ps num-ps num-servers"},
    {"server.bound", "ssp bounded-staleness asynchronous async"},
    {"server.synchronous-steps", "warmup-synchronous sync-steps"},
    {"server.replay", "replay push-order"},
    {"sync.secure", "secure-aggregation secagg private privacy masking federated"},
    {"sync.secure-bits", "fraction-bits fixed-point quantization-bits"},
    {"sync.delay", "staleness delayed-gradients stale async-depth"},
    {"sync.local.period", "local-sgd local-steps sync-every communication-period averaging-period h-steps"},
    {"sync.local.start", "post-local-sgd warmup-local"},
    {"sync.local.outer-rate", "slowmo-lr outer-lr diloco"},
    {"sync.local.outer-momentum", "slowmo slowmo-factor nesterov-outer"},
    {"sync.gather", "reshard-after-forward reshard"},
    {"sync.bucket-bytes", "bucket-size bucket-cap-mb fusion-threshold bucket"},
    {"compute.backend", "device cuda gpu use-cuda no-cuda accelerator cpu"},
    {"compute.threads", "workers num-workers num-threads omp-num-threads nthreads cpus-per-task"},
    {"watchdog.seconds", "timeout ddp-timeout"},
    {"timeline.steps", "profile profiler trace"},
    {"log.mlperf", "mlperf mllog"},
    {"output", "out outfile output-file output-dir result results log-dir logdir o"},
    {"save-model", "save save-path model-out out-model checkpoint-out"},
    {"load-model", "load pretrained weights init-from finetune resume-from-checkpoint load-path model-in"},
};

/// What starts the ranks, not what they read.
constexpr std::string_view launcher_words =
    "np n nproc nproc-per-node nprocs ranks processes num-processes world-size nnodes nodes num-nodes ngpus "
    "num-gpus gpus ntasks ppn hostfile hosts";

bool lists(std::string_view words, const std::string& word) {
  std::istringstream list{std::string(words)};
  for (std::string known; list >> known;)
    if (known == word) return true;
  return false;
}

/// "Train.Batch_Size" as "train.batch-size".
std::string plain(const std::string& name) {
  std::string text = name;
  for (char& c : text)
    c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string last_word(std::string_view name) { return std::string(name.substr(name.find_last_of('.') + 1)); }

/// Keys of this name in other sections, and keys that are called so elsewhere.
std::vector<std::string> keys_meant(const std::string& name, const std::vector<std::string_view>& known) {
  std::vector<std::string> meant;
  const auto word = last_word(name);
  for (const auto key : known)
    if (key == name) return {name};
  for (const auto key : known)
    if (last_word(key) == word) meant.emplace_back(key);
  for (const auto& [key, words] : synonyms) {
    base::expect(run_keys().contains(std::string(key)), "synonyms are of keys", key);
    if (lists(words, word) && std::find(meant.begin(), meant.end(), key) == meant.end())
      meant.emplace_back(key);
  }
  std::stable_partition(meant.begin(), meant.end(),
                        [](const auto& key) { return key.starts_with("train."); });
  return meant;
}

/// Keys whose last word is nearly that of `name`: of its letters at most a third is wrong.
std::vector<std::string> keys_alike(const std::string& name, const std::vector<std::string_view>& known) {
  const auto word = last_word(name);
  std::vector<std::string> words;
  for (const auto key : known)
    words.push_back(last_word(key));
  const auto nearest = base::nearest_word(word, std::vector<std::string_view>(words.begin(), words.end()));
  if (nearest.empty() || base::edit_distance(word, nearest) > word.size() / 3) return {};
  return keys_meant(nearest, known);
}

}  // namespace

std::string unknown_key(const std::string& name, std::vector<std::string_view> others,
                        const std::string& where) {
  others.insert(others.begin(), run_keys().begin(), run_keys().end());
  const std::string unknown = "unknown key" + (where.empty() ? "" : " in " + where);
  const auto nearest = base::nearest_word(name, others);
  const bool slip = !nearest.empty() && base::edit_distance(name, nearest) <= name.size() / 5;
  auto meant = slip ? std::vector{nearest} : keys_meant(plain(name), others);
  if (meant.empty() && lists(launcher_words, last_word(plain(name))))
    return unknown + "; the launcher starts the ranks: mpiexec -n RANKS, or srun";
  if (meant.empty()) meant = keys_alike(plain(name), others);
  std::string list;
  for (std::size_t i = 0; i < meant.size(); ++i)
    list += (i == 0 ? "" : i + 1 == meant.size() ? " or " : ", ") + meant[i];
  return unknown + (list.empty() ? "" : "; did you mean " + list + "?");
}

}  // namespace partita::config
