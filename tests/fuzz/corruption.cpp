/// Reads thousands of damaged results and models, or files of a checkpoint, each in a process of its own, and
/// counts what came of it: detected, harmless (read with equal content), crash of the HDF5 library that was
/// contained and told, and what must not be: silently wrong, a crash or a hang of the reader.
///
/// usage: corruption COUNT [SEED [FOLDER [CHECKPOINT]]]: COUNT files in all, where CHECKPOINT (a folder
/// "step-…") is named its own; those that must not be are kept in FOLDER. corruption --read
/// result|model|checkpoint FILE …: what is told of these files.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>

#include "damaged_bytes.hpp"
#include "partita/base/digest.hpp"
#include "partita/results/checkpoint.hpp"
#include "partita/results/model_file.hpp"
#include "sample_record.hpp"

namespace {

using namespace partita;
namespace fs = std::filesystem;

/// Exit codes of a reading child; a signal is a crash, SIGALRM a hang.
enum Outcome { detected, harmless, contained, endless, wrong, other_error, crash, hang, outcomes };
constexpr const char* outcome_names[] = {"detected",       "harmless",    "contained", "endless",
                                         "silently_wrong", "other_error", "crash",     "hang"};
constexpr unsigned patience_seconds = 600;

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A whole file where a reader looks for it, and whether what is read there is what was written.
struct Original {
  std::string name;
  fs::path place;
  std::function<bool()> reads_equal;
  std::string bytes{};
  std::vector<fuzz::ChecksummedBlock> blocks{};
};

bool result_reads_equal(const fs::path& path, const fs::path& scratch, const std::string& whole) {
  results::write_snapshot(scratch, results::read(path));
  return bytes_of(scratch) == whole;
}
bool model_reads_equal(const fs::path& path, const fs::path& scratch, const std::string& whole) {
  results::write_model(scratch, results::read_model(path));
  return bytes_of(scratch) == whole;
}

/// Everything that a training would take up from a checkpoint, in one digest.
std::string content_of(const fs::path& step_folder) {
  base::Sha256 sum;
  const auto manifest = results::read_manifest(step_folder);
  const auto add = [&](kernels::ConstView values) {
    sum.update(
        {static_cast<const std::byte*>(values.data()), static_cast<std::size_t>(values.bytes().value())});
  };
  sum.update(std::to_string(manifest.progress.step) + " " + std::to_string(manifest.first_update) +
             manifest.config_hash);
  for (std::size_t shard = 0; shard < manifest.shards.size(); ++shard)
    results::read_shard(step_folder, manifest, static_cast<std::int64_t>(shard), [&](const auto& filled) {
      const auto& b = filled.block;
      for (const auto n : {b.first_row, b.rows, b.first_column, b.columns})
        sum.update(std::to_string(n) + " ");
      sum.update(b.layer + b.name);
      add(filled.weights);
      for (const auto state : filled.states)
        add(state);
    });
  const auto image = results::image_of(results::read_partial_result(step_folder, manifest));
  return sum.update(image).hex();
}

results::ModelFile sample_model() {
  results::ModelFile model{.model = "cnn", .config_hash = std::string(64, 'a'), .seed = 1};
  model.data = results::TrainingData{.name = "digits",
                                     .sample_shape = {1, 28, 28},
                                     .precision = "fp32",
                                     .normalisation = {{0.25, 0.5}},
                                     .classes = 3,
                                     .class_names = {"none", "one", "many"}};
  fuzz::Random random(3);
  const auto values = [&](std::size_t n) {
    std::vector<float> v(n);
    for (auto& value : v)
      value = static_cast<float>(random() % 1000) / 1000.0f - 0.5f;
    return v;
  };
  model.parameters = {{"conv1", "weight", {10, 1, 5, 5}, values(250)},
                      {"conv1", "bias", {10}, values(10)},
                      {"linear1", "weight", {100, 80}, values(8000)},
                      {"linear1", "bias", {100}, std::vector<double>(100, 0.25)}};
  return model;
}

std::vector<Original> with_bytes(std::vector<Original> all) {
  for (auto& original : all) {
    original.bytes = bytes_of(original.place);
    original.blocks = fuzz::find_checksummed(original.bytes);
  }
  return all;
}

std::vector<Original> results_and_models(const fs::path& folder) {
  std::vector<Original> all;
  results::write_snapshot(folder / "short.h5", results::test::sample_record(7, 2));
  results::write_snapshot(folder / "long.h5", results::test::sample_record(700, 4));
  results::write_model(folder / "model.h5", sample_model());
  for (const std::string name : {"short", "long", "model"}) {
    const auto path = folder / (name + ".h5"), scratch = folder / "read.h5";
    const auto reads_equal = name == "model" ? model_reads_equal : result_reads_equal;
    all.push_back({name, path, [=, whole = bytes_of(path)] { return reads_equal(path, scratch, whole); }});
  }
  return with_bytes(std::move(all));
}

std::vector<Original> files_of_checkpoint(const fs::path& step_folder, const fs::path& folder) {
  std::vector<Original> all;
  fs::copy(step_folder, folder / "step", fs::copy_options::recursive);
  const auto whole = content_of(folder / "step");
  for (const auto& entry : fs::directory_iterator(folder / "step"))
    all.push_back({entry.path().stem(), entry.path(), [=] { return content_of(folder / "step") == whole; }});
  return with_bytes(std::move(all));
}

Outcome read_here(const Original& original) {
  try {
    return original.reads_equal() ? harmless : wrong;
  } catch (const base::ConfigError& error) {
    const std::string text = error.what();
    if (text.find("crashes on it") != std::string::npos) return contained;
    return text.find("does not end") != std::string::npos ? endless : detected;
  } catch (const std::exception& error) {
    std::cerr << original.place << ": " << error.what() << '\n';
    return other_error;
  }
}

Outcome read_in_child(const Original& original) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(patience_seconds);
    _exit(read_here(original));
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGALRM ? hang : crash;
  return static_cast<Outcome>(WEXITSTATUS(status));
}

using Counts = std::map<fuzz::Damage, std::array<int, outcomes>>;

/// Whoever makes the checksums right can make any other valid file.
bool must_not_be(fuzz::Damage damage, Outcome outcome) {
  return outcome > wrong || (outcome == wrong && damage != fuzz::Damage::crafted);
}

void print(const Counts& counts) {
  std::cout << std::left << std::setw(12) << "damage";
  for (const char* name : outcome_names)
    std::cout << std::right << std::setw(16) << name;
  for (const auto& [damage, row] : counts) {
    std::cout << '\n' << std::left << std::setw(12) << to_string(damage);
    for (const int n : row)
      std::cout << std::right << std::setw(16) << n;
  }
  std::cout << "\n(silently_wrong of crafted files: other valid files, their checksums were made right)\n";
}

int damage_many(int count, std::uint64_t seed, const fs::path& kept, const fs::path& checkpoint) {
  std::string scratch = (fs::temp_directory_path() / "partita-corruption-XXXXXX").string();
  const fs::path folder = mkdtemp(scratch.data());
  const auto all = checkpoint.empty() ? results_and_models(folder) : files_of_checkpoint(checkpoint, folder);
  Counts counts;
  int failures = 0, told = 0;
  fuzz::Random random(seed);
  for (int i = 0; i < count; ++i) {
    const auto& original = all[static_cast<std::size_t>(i) % all.size()];
    const auto damage =
        fuzz::all_damages[static_cast<std::size_t>(i) / all.size() % std::size(fuzz::all_damages)];
    const auto bytes = damaged(original.bytes, original.blocks, damage, random);
    std::ofstream(original.place, std::ios::binary) << bytes;
    const auto outcome = read_in_child(original);
    std::ofstream(original.place, std::ios::binary) << original.bytes;
    ++counts[damage][outcome];
    told += outcome == detected || outcome == contained;
    failures += must_not_be(damage, outcome);
    if (outcome <= harmless || (outcome == wrong && !must_not_be(damage, outcome))) continue;
    const auto name = original.name + "-" + outcome_names[outcome] + "-" + std::to_string(i) + ".h5";
    std::cout << to_string(damage) << " " << name << '\n';
    if (!kept.empty()) std::ofstream(kept / name, std::ios::binary) << bytes;
  }
  fs::remove_all(folder);
  std::cout << count << " damaged files, seed " << seed << '\n';
  print(counts);
  if (told == 0) std::cout << "FAIL: no damage was ever noticed: the test shows nothing\n";
  return failures == 0 && told > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int tell(int argc, char** argv) {
  for (int i = 3; i < argc; ++i) {
    try {
      const std::string kind = argv[2];
      if (kind == "model")
        results::read_model(argv[i]);
      else if (kind == "checkpoint")
        content_of(argv[i]);
      else
        results::read(argv[i]);
      std::cout << argv[i] << ": is read\n";
    } catch (const std::exception& error) {
      std::cout << error.what() << '\n';
    }
  }
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 3 && std::string(argv[1]) == "--read") return tell(argc, argv);
  if (argc < 2) return std::cerr << "usage: corruption COUNT [SEED [FOLDER [CHECKPOINT]]]\n", 2;
  return damage_many(std::atoi(argv[1]), argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1,
                     argc > 3 ? argv[3] : "", argc > 4 ? argv[4] : "");
}
