/// Servers hold the only copy of shares of whole parameters, and update them by what workers push.
#include <string>

#include "checks.hpp"

namespace partita::config {

namespace {

/// Of a push a server decodes what no other rank tells it more of.
void check_pushes(const RunOptions& options, std::vector<base::Violation>& violations) {
  const auto codec = options.sync.compression.codec;
  const auto refuse = [&](const std::string& what) {
    violations.push_back({"sync.compress", std::string(to_string(codec)), what});
  };
  if (codec == kernels::Codec::powersgd)
    refuse("excludes server.count: factors are of sums over all ranks; the nearest is topk");
  if (codec == kernels::Codec::fp16 && options.server.is_asynchronous)
    refuse("excludes asynchronous servers: ranks agree on its scale in each step; the nearest is bf16");
}

std::string text_of_bound(const ServerOptions& server) {
  return server.bound ? number(*server.bound) : "none";
}

/// What says more of servers that are not asked for.
void check_unused(const ServerOptions& server, std::vector<base::Violation>& violations) {
  const bool serves_pushes = server.count > 0 && server.is_asynchronous;
  if (server.count == 0 && server.is_asynchronous)
    violations.push_back(
        {"server.bound", text_of_bound(server), "is of parameter servers: it needs server.count"});
  if (!serves_pushes && server.synchronous_steps > 0)
    violations.push_back({"server.synchronous-steps", number(server.synchronous_steps),
                          "is the start of asynchronous servers: it needs server.count and server.bound"});
  if (!serves_pushes && !server.replay.empty())
    violations.push_back({"server.replay", server.replay.string(),
                          "is the order of asynchronous servers: it needs server.count and server.bound"});
}

}  // namespace

void check_servers(const RunOptions& options, std::vector<base::Violation>& violations) {
  const auto& server = options.server;
  check_unused(server, violations);
  if (server.count == 0) return;
  const auto refuse = [&](bool is_so, const std::string& what, const std::string& nearest = "0") {
    if (is_so)
      violations.push_back({"server.count", number(server.count), what + "; the nearest is " + nearest});
  };
  refuse(server.count >= options.grid.data,
         "leaves no worker among the " + number(options.grid.data) + " data ranks",
         number(options.grid.data - 1));
  refuse(options.grid.pipeline > 1,
         "excludes grid.pipeline above 1: stages would have parameters of different steps");
  refuse(options.grid.tensor > 1,
         "excludes grid.tensor above 1: ranks would have parameters of different steps");
  refuse(options.sync.split != step::Split::none, "excludes sync.split: servers share the updates already");
  refuse(options.sync.secure, "excludes sync.secure: a server sees what each worker pushes");
  refuse(options.sync.delay > 0, "excludes sync.delay");
  refuse(options.sync.local_period.has_value(), "excludes sync.local.period");
  refuse(options.train.deterministic, "excludes train.deterministic=true, whose sums are of even shares");
  refuse(options.backend == Backend::cuda, "needs compute.backend=cpu or reference");
  const auto layer = layer_with_statistics(options.model);
  refuse(!layer.empty(),
         "excludes " + layer +
             ", whose statistics all data ranks add up in the middle of a pass, where servers "
             "have none and workers may be in other steps: 'frozen' on its line uses running "
             "ones");
  const auto& rule = kernels::describe(options.train.optimizer.rule);
  refuse(rule.takes_norms && server.count > 1,
         "excludes train.optimizer=" + std::string(rule.name) + ", which takes norms of whole tensors", "1");
  check_pushes(options, violations);
  if (!server.is_asynchronous) return;
  const auto refuse_asynchronous = [&](bool is_so, const std::string& what) {
    if (is_so)
      violations.push_back({"server.bound", text_of_bound(server), what + "; the nearest is synchronous"});
  };
  refuse_asynchronous(options.train.optimizer.clip_norm.has_value(),
                      "excludes train.clip-norm: no server knows the norm of a whole push");
  refuse_asynchronous(
      !options.virtual_clock.empty() && server.replay.empty(),
      "excludes virtual-clock, on which nobody comes first, unless server.replay gives the order");
}

}  // namespace partita::config
