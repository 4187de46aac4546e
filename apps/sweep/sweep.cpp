/// What each group of ranks does until nothing is left: take a configuration, train it as partita-train does,
/// keep its row. A run that fails ends its own configuration only; a signal ends all.
#include "sweep.hpp"

#include <chrono>
#include <iostream>
#include <sstream>
#include <thread>

#include "folder.hpp"
#include "partita/base/clock.hpp"
#include "partita/comm/group.hpp"
#include "partita/job/training_job.hpp"
#include "partita/run/signals.hpp"
#include "summary.hpp"

namespace partita::sweep {
namespace {

using base::Violation;
using collective::Purpose;

/// The groups of a job: ranks first to last of each.
struct Groups {
  int ranks_each = 1, count = 1;

  Groups(const Options& options, int world) : ranks_each(options.ranks), count(world / options.ranks) {}
  /// `count` for ranks that are left over.
  [[nodiscard]] int of(int rank) const { return std::min(rank / ranks_each, count); }
  [[nodiscard]] std::string ranks(int group) const {
    const int first = group * ranks_each, last = first + ranks_each - 1;
    return std::to_string(first) + (last > first ? "-" + std::to_string(last) : "");
  }
};

/// One line, whole, from whichever rank.
void say(const std::string& text) { std::cerr << text + "\n" << std::flush; }

/// What partita-train would have given as the reason of its failure.
std::string reason_in(const std::string& lines) {
  constexpr std::string_view mark = "STATUS: FAIL ";
  const auto at = lines.rfind(mark);
  return at == std::string::npos ? "the run failed"
                                 : lines.substr(at + mark.size(), lines.find('\n', at) - at - mark.size());
}

/// Groups that have nothing left to do must not take the cores of those that have.
void sleep_until_all_come(comm::Communicator& world) {
  const auto barrier = world.plan_barrier();
  barrier->start();
  while (!barrier->test())
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  barrier->wait();
}

/// One group's work, on each of its ranks.
class Worker {
 public:
  Worker(const Options& options, std::vector<Configuration>& all, comm::MpiEnvironment& environment,
         const comm::Communicator& world)
      : options_(options),
        all_(all),
        environment_(environment),
        ranks_on_host_(world.local_size()),
        rank_on_host_(world.local_rank()),
        groups_(options, world.size()),
        number_(groups_.of(world.rank())),
        group_(world, number_) {}

  /// Rows of what this group ran, on its first rank.
  std::vector<Row> work() {
    if (number_ == groups_.count) return {};
    std::int64_t next = 0;
    const auto telling =
        group_.control().plan_broadcast(kernels::View(std::span(&next, 1)), 0, Purpose::control);
    for (;;) {
      if (is_leader()) next = stopped_ || run::stop_signal_came() ? 0 : take(static_cast<int>(next));
      telling->start();
      telling->wait();
      if (next == 0) return std::move(rows_);
      run(all_[static_cast<std::size_t>(next - 1)]);
    }
  }

 private:
  [[nodiscard]] bool is_leader() { return group_.control().rank() == 0; }

  /// A folder that takes no rows any more ends this group's work, not the others'.
  int take(int after) {
    try {
      return take_next(options_, all_, after).value_or(0);
    } catch (const base::EnvironmentError& error) {
      say("ranks " + groups_.ranks(number_) + " take no more configurations: " + error.what());
      return 0;
    }
  }

  void run(Configuration& c) {
    const double begun = base::now_seconds();
    if (is_leader())
      say("configuration " + std::to_string(c.number) + " of " + std::to_string(all_.size()) +
          " starts on ranks " + groups_.ranks(number_) + ": " + c.values());
    std::ostringstream lines, progress, messages;
    int code = job::failed;
    results::Claims claims;
    const auto failures = group_.run([&](comm::Communicator& ranks) {
      if (ranks.rank() == 0)
        if (auto taken = claims.take(job::files_of(c.input)); !taken.empty())
          throw base::ConfigError(std::move(taken));
      environment_.set_wait_limit(c.input.options.watchdog_seconds);
      ranks.agree({});  // as partita-train does, whose ledger is the same
      auto world = ranks.with_nodes_of(c.input.options.sync.ranks_per_node);
      world.use(c.input.table);
      code = job::run_training({.input = c.input,
                                .environment = environment_,
                                .world = world,
                                .ranks_on_host = ranks_on_host_,
                                .rank_on_host = rank_on_host_,
                                .command_line = c.command_line(),
                                .lines = lines,
                                .progress = progress,
                                .messages = messages});
    });
    if (!is_leader()) return;
    std::istringstream told(messages.str());
    for (std::string line; std::getline(told, line);)
      say("configuration " + std::to_string(c.number) + ": " + line);
    auto row = concluded(c, code, failures, lines.str());
    row.seconds = base::now_seconds() - begun;
    keep(std::move(row));
  }

  Row concluded(const Configuration& c, int code, const std::vector<comm::Group::Failure>& failures,
                const std::string& lines) {
    Row row;
    if (failures.empty()) row = row_of_result(c);
    row.number = c.number, row.config_hash = c.hash, row.ranks = groups_.ranks(number_);
    if (!failures.empty()) {
      row.status = Status::failed;
      for (const auto& failure : failures)
        row.reason += (row.reason.empty() ? "rank " : "; rank ") +
                      std::to_string(number_ * groups_.ranks_each + failure.rank) + ": " + failure.reason;
    } else if (code == job::checkpointed || row.status == Status::interrupted) {
      row.status = Status::interrupted;
      row.reason = reason_in(lines);
      stopped_ = true;
    } else if (code != job::success) {
      row.status = Status::invalid;
      row.reason = reason_in(lines);
    } else if (row.status != Status::complete) {
      row.status = Status::failed;
      row.reason = "the result cannot be read back";
    }
    return row;
  }

  /// A row that cannot be written is told all the same, and gathered at the end.
  void keep(Row row) {
    std::ostringstream text;
    text << "configuration " << row.number << " " << to_string(row.status) << " after " << row.seconds
         << " s";
    for (const char* name : {"test_accuracy", "test_loss"})
      if (std::isfinite(row.figure(name))) text << ", " << name << " " << row.figure(name);
    if (!row.reason.empty()) text << ": " << row.reason;
    try {
      write_row(options_, row);
      // One writer; the others' rows come along.
      if (number_ == 0) write_index(options_, all_, read_rows(options_, all_));
    } catch (const base::EnvironmentError& error) {
      text << "; its row cannot be written: " << error.what();
    }
    say(text.str());
    rows_.push_back(std::move(row));
  }

  const Options& options_;
  std::vector<Configuration>& all_;
  comm::MpiEnvironment& environment_;
  int ranks_on_host_, rank_on_host_;
  Groups groups_;
  int number_;
  comm::Group group_;
  std::vector<Row> rows_;
  bool stopped_ = false;
};

/// What is known of this shard's configurations: what the folder holds, and over it what this job has run.
std::vector<Row> known_rows(const Options& options, const std::vector<Configuration>& all,
                            const std::vector<std::string>& gathered) {
  auto rows = read_rows(options, all);
  for (const auto& text : gathered) {
    std::istringstream parts(text);
    for (std::string part; std::getline(parts, part, '\0');)
      if (const auto row = from_json(part)) rows[static_cast<std::size_t>(row->number - 1)] = *row;
  }
  return rows;
}

/// Index, table, figures and status of this shard's part; `stopped` by a signal. The exit code.
int summarize(const Options& options, const std::vector<Configuration>& all, const std::vector<Row>& rows,
              double seconds, bool stopped) {
  std::vector<Configuration> mine;
  std::vector<Row> known;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (belongs(all[i], options.shard)) mine.push_back(all[i]), known.push_back(rows[i]);
  const bool unfinished = std::any_of(known.begin(), known.end(), [](const Row& row) {
    return row.status == Status::pending || row.status == Status::interrupted;
  });
  const bool interrupted = stopped && unfinished;
  auto failure = failure_of(known);
  if (interrupted) failure = "interrupted by a signal; submit again with --resume; " + failure;
  try {
    say("index: " + write_index(options, all, rows).string());
  } catch (const base::EnvironmentError& error) {
    failure += (failure.empty() ? "" : "; ") + std::string("the index cannot be written: ") + error.what();
  }
  print_table(std::cout, mine, known);
  job::print_last_lines(std::cout, figures_of(mine, known, seconds), failure);
  return interrupted ? job::checkpointed : failure.empty() ? job::success : job::failed;
}

}  // namespace

std::vector<Violation> check_groups(const Options& options, const std::vector<Configuration>& all,
                                    std::span<const int> nodes) {
  const int world = static_cast<int>(nodes.size());
  if (options.ranks > world)
    return {{"sweep.ranks", std::to_string(options.ranks),
             "is more than the job's ranks; the nearest is " + std::to_string(world)}};
  std::vector<Violation> violations;
  for (const auto& c : all) {
    if (!c.input.split) continue;
    for (int group = 0; group < world / options.ranks; ++group)
      for (const auto& violation :
           config::check_nodes(c.input.options, *c.input.split,
                               nodes.subspan(static_cast<std::size_t>(group * options.ranks),
                                             static_cast<std::size_t>(options.ranks))))
        if (std::find(violations.begin(), violations.end(), violation) == violations.end())
          violations.push_back(violation);
  }
  return violations;
}

int run(const Options& options, std::vector<Configuration>& all, comm::MpiEnvironment& environment,
        comm::Communicator& world) {
  const double begun = base::now_seconds();
  const Groups groups(options, world.size());
  if (world.rank() == 0) {
    const int idle = world.size() - groups.count * groups.ranks_each;
    say("sweep of " + std::to_string(all.size()) + " configurations: " + std::to_string(groups.count) +
        (groups.count == 1 ? " group of " : " groups of ") + std::to_string(groups.ranks_each) +
        (groups.ranks_each == 1 ? " rank" : " ranks") +
        (idle > 0 ? "; the last " + std::to_string(idle) + " of the job's ranks stay idle" : ""));
  }
  Worker worker(options, all, environment, world);
  run::notice_stop_signals();
  std::string mine;
  for (const auto& row : worker.work())
    mine += to_json(row) + '\0';
  sleep_until_all_come(world);
  const auto gathered = world.gather_text(mine, 0, Purpose::control);
  double stopped = run::stop_signal_came() ? 1 : 0;
  world.all_reduce(kernels::View(std::span(&stopped, 1)), comm::Combine::max, Purpose::control);
  std::int64_t code = 0;
  if (world.rank() == 0)
    code =
        summarize(options, all, known_rows(options, all, gathered), base::now_seconds() - begun, stopped > 0);
  const auto telling = world.plan_broadcast(kernels::View(std::span(&code, 1)), 0, Purpose::control);
  telling->start();
  telling->wait();
  return static_cast<int>(code);
}

int index_only(const Options& options, const std::vector<Configuration>& all) {
  return summarize(options, all, read_rows(options, all), 0, false);
}

}  // namespace partita::sweep
