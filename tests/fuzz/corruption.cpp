/// Reads thousands of damaged result and model files, each in a process of its own, and counts what came of
/// it: detected, harmless (read with equal content), crash of the HDF5 library that was contained and told,
/// and what must not be: silently wrong, a crash or a hang of the reader.
///
/// usage: corruption COUNT [SEED [FOLDER]]: COUNT files in all; those that must not be are kept in FOLDER.
/// corruption --read result|model FILE …: what is told of these files.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <map>

#include "damaged_bytes.hpp"
#include "partita/results/model_file.hpp"
#include "sample_record.hpp"

namespace {

using namespace partita;
namespace fs = std::filesystem;

/// Exit codes of a reading child; a signal is a crash, SIGALRM a hang.
enum Outcome { detected, harmless, contained, endless, wrong, other_error, crash, hang, outcomes };
constexpr const char* outcome_names[] = {"detected",       "harmless",    "contained", "endless",
                                         "silently_wrong", "other_error", "crash",     "hang"};
constexpr unsigned patience_seconds = 150;

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A whole file, and how to read one and write again what was read.
struct Original {
  std::string name, bytes;
  std::vector<fuzz::ChecksummedBlock> blocks;
  std::function<void(const fs::path&)> rewrite;
};

void rewrite_result(const fs::path& path) { results::write_snapshot(path, results::read(path)); }
void rewrite_model(const fs::path& path) { results::write_model(path, results::read_model(path)); }

results::ModelFile sample_model() {
  results::ModelFile model{.model = "cnn", .config_hash = std::string(64, 'a'), .seed = 1};
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

std::vector<Original> originals(const fs::path& folder) {
  results::write_snapshot(folder / "short.h5", results::test::sample_record(7, 2));
  results::write_snapshot(folder / "long.h5", results::test::sample_record(700, 4));
  results::write_model(folder / "model.h5", sample_model());
  std::vector<Original> all;
  for (const char* name : {"short", "long", "model"}) {
    all.push_back({.name = name,
                   .bytes = bytes_of(folder / (std::string(name) + ".h5")),
                   .blocks = {},
                   .rewrite = std::string(name) == "model" ? rewrite_model : rewrite_result});
    all.back().blocks = fuzz::find_checksummed(all.back().bytes);
  }
  return all;
}

Outcome read_here(const Original& original, const fs::path& path) {
  try {
    original.rewrite(path);
    return bytes_of(path) == original.bytes ? harmless : wrong;
  } catch (const base::ConfigError& error) {
    const std::string text = error.what();
    if (text.find("crashes on it") != std::string::npos) return contained;
    return text.find("does not end") != std::string::npos ? endless : detected;
  } catch (const std::exception& error) {
    std::cerr << path << ": " << error.what() << '\n';
    return other_error;
  }
}

Outcome read_in_child(const Original& original, const fs::path& path) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(patience_seconds);
    _exit(read_here(original, path));
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

int damage_many(int count, std::uint64_t seed, const fs::path& kept) {
  std::string scratch = (fs::temp_directory_path() / "partita-corruption-XXXXXX").string();
  const fs::path folder = mkdtemp(scratch.data());
  const auto all = originals(folder);
  Counts counts;
  int failures = 0, told = 0;
  fuzz::Random random(seed);
  for (int i = 0; i < count; ++i) {
    const auto& original = all[static_cast<std::size_t>(i) % all.size()];
    const auto damage =
        fuzz::all_damages[static_cast<std::size_t>(i) / all.size() % std::size(fuzz::all_damages)];
    const auto path = folder / "damaged.h5";
    const auto bytes = damaged(original.bytes, original.blocks, damage, random);
    std::ofstream(path, std::ios::binary) << bytes;
    const auto outcome = read_in_child(original, path);
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
      std::string(argv[2]) == "model" ? void(results::read_model(argv[i])) : void(results::read(argv[i]));
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
  if (argc < 2) return std::cerr << "usage: corruption COUNT [SEED [FOLDER]]\n", 2;
  return damage_many(std::atoi(argv[1]), argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1,
                     argc > 3 ? argv[3] : "");
}
