/// Plays all stretches of asynchronous steps in the order that was read, without messages.
#include "replay.hpp"

#include <algorithm>
#include <filesystem>

#include "partita/results/checkpoint.hpp"
#include "partita/results/result_file.hpp"
#include "partita/run/push_log.hpp"
#include "partita/step/turns.hpp"

namespace partita::job {
namespace {

/// Of each server the pushes of the steps [first, end), in the order in which it took them.
std::vector<std::vector<step::LoggedPush>> orders_of(std::vector<run::PushLog>& logs, std::int64_t first,
                                                     std::int64_t end) {
  std::vector<std::vector<step::LoggedPush>> orders;
  for (auto& log : logs) {
    orders.emplace_back();
    for (const auto& push : log.take(first, end))
      orders.back().push_back({static_cast<int>(push.worker), push.staleness});
  }
  return orders;
}

/// The first step of a stretch that cannot be followed; -1: all can.
std::int64_t first_not_followed(const Input& input) {
  const auto& options = input.options;
  const auto& plan = input.split->plan;
  const auto& servers = plan.cadence.servers;
  const auto samples = input.data->train.samples;
  const auto limit = options.train.steps_on(samples);
  const auto every = config::checkpoint_dir(options).empty() ? 0 : options.checkpoint.every;
  const int workers = plan.grid.data - servers.count;
  // A run that goes on from a checkpoint follows the log from there.
  const auto dir = config::checkpoint_dir(options);
  const auto checkpoints =
      options.resume && !dir.empty() ? results::list_checkpoints(dir) : std::vector<std::int64_t>();
  const auto from = checkpoints.empty() ? 0 : checkpoints.front();
  std::vector<run::PushLog> logs;
  for (int server = 0; server < servers.count; ++server)
    logs.emplace_back(input.replay, workers + server);
  for (std::int64_t step = std::max(servers.synchronous_steps, from); step < limit;) {
    const auto end = step::next_quiescence(step, options.train.steps_of_epoch(samples), every, limit);
    if (!step::can_follow(orders_of(logs, step, end), servers, workers, end - step)) return step;
    step = end;
  }
  return -1;
}

}  // namespace

void read_replay(Input& input) {
  const auto& path = input.options.server.replay;
  if (path.empty() || !input.split || !input.data || !input.split->plan.cadence.servers.is_asynchronous)
    return;
  const auto refuse = [&](const std::string& what) {
    input.violations.push_back({"server.replay", path.string(), what});
  };
  if (std::error_code error; !std::filesystem::exists(path, error)) return refuse("does not exist");
  try {
    input.replay = results::read(path).pushes;
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
  if (input.replay.empty()) return refuse("has no /pushes: it is of no run with asynchronous servers");
  if (const auto step = first_not_followed(input); step >= 0)
    refuse("cannot be followed from step " + std::to_string(step) +
           " on: its run had other workers, servers or steps, or another server.bound, "
           "server.synchronous-steps or checkpoint.every");
}

}  // namespace partita::job
