/// Files that are not ours, newer, cut short, changed by a bit, or that cannot be written.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "partita/base/digest.hpp"
#include "partita/results/model_file.hpp"
#include "sample_record.hpp"

namespace partita::results::test {
namespace {

using ResultFile = FolderTest;

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// The message of the ConfigError that reading raises.
std::string refusal(const std::filesystem::path& path) {
  try {
    read(path);
  } catch (const base::ConfigError& error) {
    EXPECT_EQ(error.violations().size(), 1u);
    EXPECT_EQ(error.violations()[0].key, path.string());
    return error.violations()[0].message;
  }
  return "was read";
}

TEST_F(ResultFile, RefusesWhatIsNotOurs) {
  put(folder / "empty.h5", "");
  EXPECT_EQ(refusal(folder / "empty.h5"), "is empty");
  put(folder / "text.h5", "loss,accuracy\n1,2\n");
  EXPECT_EQ(refusal(folder / "text.h5"), "is not an HDF5 file");
  write_model(folder / "model.h5", {.parameters = {{"linear1", "bias", {1}, std::vector<float>{1}}}});
  EXPECT_EQ(refusal(folder / "model.h5"), "is a model file, not a result file");
  write_snapshot(folder / "result.h5", sample_record());
  EXPECT_THROW(read_model(folder / "result.h5"), base::ConfigError);
  EXPECT_THROW(read(folder / "missing.h5"), base::EnvironmentError);
  EXPECT_THROW(read(folder), base::ConfigError);
}

TEST_F(ResultFile, IsNotReadWhenCutShort) {
  write_snapshot(folder / "r.h5", sample_record());
  const auto whole = bytes_of(folder / "r.h5");
  for (std::size_t size : {std::size_t{1}, std::size_t{8}, std::size_t{47}, std::size_t{48}, whole.size() / 2,
                           whole.size() - 1}) {
    put(folder / "cut.h5", whole.substr(0, size));
    EXPECT_NE(refusal(folder / "cut.h5"), "was read") << size << " of " << whole.size();
  }
}

/// Fletcher-32 takes zeros for sound: a stretch that never reached the disk is found by the columns' own
/// sums.
TEST_F(ResultFile, IsNotReadWithAHole) {
  std::vector<double> values(1000);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 0.5 + static_cast<double>(i);
  write_model(folder / "m.h5", {.parameters = {{"linear1", "bias", {1000}, values}}});
  auto bytes = bytes_of(folder / "m.h5");
  const std::string stored(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
  const auto at = bytes.find(stored);
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, stored.size() + 4, stored.size() + 4, '\0');  // with Fletcher-32 behind them
  put(folder / "m.h5", bytes);
  try {
    read_model(folder / "m.h5");
    FAIL() << "was read";
  } catch (const base::ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("/parameters/linear1/bias does not hold the values"),
              std::string::npos)
        << error.what();
  }
}

TEST_F(ResultFile, IsReplacedWithoutLeftovers) {
  for (int i = 0; i < 3; ++i)
    write_snapshot(folder / "r.h5", sample_record(i + 1));
  EXPECT_EQ(read(folder / "r.h5").steps.count(), 3u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
}

TEST_F(ResultFile, ChecksAnOutputPathBeforeTheRun) {
  put(folder / "there.h5", "precious");
  const auto message = [](const std::vector<base::Violation>& v) { return v.empty() ? "" : v.at(0).message; };
  EXPECT_EQ(message(check_output_path("output", folder / "new.h5", false)), "");
  EXPECT_NE(message(check_output_path("output", folder / "there.h5", false)).find("--overwrite"),
            std::string::npos);
  EXPECT_EQ(message(check_output_path("output", folder / "there.h5", true)), "");
  EXPECT_NE(message(check_output_path("output", folder / "no" / "r.h5", true)).find("does not exist"),
            std::string::npos);
  EXPECT_NE(message(check_output_path("output", folder, true)), "");
  EXPECT_NE(message(check_output_path("output", "/dev/null", true)), "");
  EXPECT_NE(message(check_output_path("output", "", true)), "");
  EXPECT_NE(message(check_output_path("output", "/proc/r.h5", true)).find("cannot be written"),
            std::string::npos);
  EXPECT_EQ(bytes_of(folder / "there.h5"), "precious");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
}

/// Runs `body` in a child process and gives its exit status as waitpid does.
template <class Body>
int in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    std::exit(3);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

/// A disk that is full at the k-th byte, for every phase of writing: the previous snapshot stays, the error
/// says why, and the process leaves through exit() without a crash.
TEST_F(ResultFile, SurvivesAFileSizeLimit) {
  write_snapshot(folder / "r.h5", sample_record(3));
  const auto before = base::sha256_of_file(folder / "r.h5");
  for (rlim_t limit : {0, 1, 4096, 20000}) {
    const int status = in_child([&] {
      const rlimit size{limit, limit};
      setrlimit(RLIMIT_FSIZE, &size);
      try {
        write_snapshot(folder / "r.h5", sample_record(2000));
      } catch (const WriteError& error) {
        std::exit(error.code() == EFBIG &&
                          std::string(error.what()).find("File too large") != std::string::npos
                      ? 0
                      : 1);
      }
    });
    EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0) << limit;
    EXPECT_EQ(base::sha256_of_file(folder / "r.h5"), before);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  }
}

/// Kills a process that writes snapshots of growing length, each moment another one: some in their first, the
/// others behind one to four whole ones, of which the writer tells.
TEST_F(ResultFile, IsAlwaysWholeWhenTheWriterIsKilled) {
  std::mt19937 random(1);
  const auto below = [&](int n) { return std::uniform_int_distribution<int>(0, n)(random); };
  for (int i = 0; i < 24; ++i) {
    const auto path = folder / (std::to_string(i) + ".h5");
    int told[2];
    ASSERT_EQ(pipe(told), 0);
    const pid_t child = fork();
    if (child == 0) {
      for (std::int64_t steps = 0;; ++steps) {
        if (steps > 0) write_snapshot(path, sample_record(steps * 50, 3));
        const char whole = 1;
        if (::write(told[1], &whole, 1) != 1) _exit(4);
      }
    }
    const int wanted = i < 6 ? 0 : 1 + below(3);
    char whole = 0;
    for (int k = 0; k <= wanted; ++k)
      ASSERT_EQ(::read(told[0], &whole, 1), 1);
    std::this_thread::sleep_for(std::chrono::microseconds(below(8000)));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    close(told[0]);
    close(told[1]);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself";
    ASSERT_TRUE(wanted == 0 || std::filesystem::exists(path));
    if (!std::filesystem::exists(path)) continue;
    const auto record = read(path);
    EXPECT_EQ(record.steps.count() % 50, 0u);
    EXPECT_GE(record.steps.count(), 50u * static_cast<std::size_t>(std::max(wanted, 1)));
    EXPECT_EQ(record.steps.loss.size(), record.steps.count());
  }
}

/// Reads in a child, since HDF5 may crash on what it does not check: 0 refused, 1 unchanged, 2 changed
/// silently.
int effect_of_reading(const std::filesystem::path& path, const std::string& original) {
  const int status = in_child([&] {
#ifndef __SANITIZE_ADDRESS__  // its shadow memory alone is larger
    const rlimit memory{rlim_t{4} << 30, rlim_t{4} << 30};
    setrlimit(RLIMIT_AS, &memory);
#endif
    try {
      const auto record = read(path);
      write_snapshot(path, record);
      _exit(bytes_of(path) == original ? 1 : 2);
    } catch (const base::ConfigError&) {
      _exit(0);
    } catch (const std::exception& other) {
      _exit(4);
    }
  });
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/// A flipped bit is refused or changes nothing that is read (padding, names and dimension scales that Partita
/// ignores).
TEST_F(ResultFile, NeverReadsAFlippedBitAsAnotherNumber) {
  write_snapshot(folder / "r.h5", sample_record(30, 2));
  const auto original = bytes_of(folder / "r.h5");
  const char* wanted = std::getenv("PARTITA_BIT_FLIPS");
  const int flips = wanted ? std::atoi(wanted) : 150;
  std::mt19937_64 random(7);
  int refused = 0;
  for (int i = 0; i < flips; ++i) {
    auto damaged = original;
    const auto bit = random() % (damaged.size() * 8);
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    put(folder / "flipped.h5", damaged);
    const int effect = effect_of_reading(folder / "flipped.h5", original);
    EXPECT_TRUE(effect == 0 || effect == 1) << "bit " << bit << " gave " << effect;
    refused += effect == 0;
  }
  EXPECT_GT(refused, 0) << "no flip was ever noticed: the test shows nothing";
  RecordProperty("flips", flips);
  RecordProperty("refused", refused);
}

}  // namespace
}  // namespace partita::results::test
