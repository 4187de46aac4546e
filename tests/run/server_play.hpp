/// Trainings with parameter servers, and one process that plays all of them in the order that asynchronous
/// ones logged.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <vector>

#include "partita/kernels/codec.hpp"
#include "partita/results/checkpoint.hpp"
#include "partita/step/turns.hpp"
#include "players.hpp"
#include "shared_folder.hpp"

namespace partita::tests {

using kernels::OptimizerRule;
using results::PushRow;
using step::Servers;

/// Among all ranks.
inline Decomposition with_servers(std::size_t net, const Servers& servers,
                                  OptimizerRule rule = OptimizerRule::sgd) {
  return tests::with_servers(net, world().size(), servers, rule);
}

inline std::vector<int> counts() {
  std::vector<int> all;
  for (int count = 1; count < world().size() && count <= 3; ++count)
    all.push_back(count);
  return all;
}

inline std::vector<PushRow> pushes_of(const run::Training& training) {
  std::vector<PushRow> all;
  std::string bytes(reinterpret_cast<const char*>(training.pushes().data()),
                    training.pushes().size() * sizeof(PushRow));
  for (const auto& text : world().all_gather_text(bytes, collective::Purpose::control)) {
    const auto before = all.size();
    all.resize(before + text.size() / sizeof(PushRow));
    std::memcpy(all.data() + before, text.data(), text.size());
  }
  return all;
}

struct Served {
  Tensors parameters;
  std::vector<PushRow> pushes;
};
inline Served serve(const Case& c, const Trial& options, kernels::Backend& backend) {
  auto training = training_of(c.model, options, backend, world(), c.data);
  training.calibrate();
  EXPECT_EQ(training.run({}), run::Outcome::complete);
  EXPECT_TRUE(replicas_are_identical(training));
  return {training.gather_parameters(state::Receivers::all), pushes_of(training)};
}

/// A training of 20 steps, and one that goes on behind step 10 from the checkpoint of another, in the same
/// order of pushes: the same bits. `look` sees the second where it has just taken up the checkpoint.
template <class Look>
void expect_to_go_on(const Case& c, const Decomposition& d, kernels::Backend& backend, const Look& look) {
  auto options = trial_of(c, d);
  options.checkpoint.every = 5;
  const SharedFolder shared;
  const auto half = shared.path() / "half";
  options.checkpoint.dir = shared.path() / "whole";
  const auto whole = serve(c, options, backend);
  options.replay = whole.pushes;
  options.checkpoint.dir = half;
  options.steps = 10;
  serve(c, options, backend);
  ASSERT_EQ(results::list_checkpoints(half).front(), 10);
  const auto at = results::checkpoint_folder(half, 10);
  const auto manifest = results::read_manifest(at);
  options.checkpoint.dir = shared.path() / "rest";
  options.steps = 20;
  auto training = training_of(c.model, options, backend, world(), c.data);
  training.restore(at, manifest, {});
  look(training, at, manifest);
  EXPECT_EQ(training.run({}), run::Outcome::complete);
  const auto halves = training.gather_parameters(state::Receivers::all);
  for (std::size_t i = 0; i < whole.parameters.size(); ++i)
    EXPECT_EQ(halves[i].values, whole.parameters[i].values) << to_string(d);
}

/// The workers whose pushes each server took in steps [first, end), one after the other.
inline std::vector<std::vector<int>> orders_of(const std::vector<PushRow>& pushes, int workers, int servers,
                                               std::int64_t first, std::int64_t end) {
  std::vector<std::vector<int>> orders(static_cast<std::size_t>(servers));
  for (const auto& push : pushes)
    if (push.step >= first && push.step < end)
      orders[static_cast<std::size_t>(push.server - workers)].push_back(static_cast<int>(push.worker));
  return orders;
}

/// What servers make of the codes that one worker pushes: of each bucket a code for each of them, of what the
/// worker kept before, too.
class Pushed {
 public:
  Pushed(const step::Program& program, std::size_t trained) : program_(program), residual_(trained) {}

  /// In the place of a gradient.
  Vector decoded(Vector gradient) {
    const auto& compression = program_.compression;
    if (!compression.is_on()) return gradient;
    Vector all(gradient.size());
    const auto code = [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t n = end - begin;
      const auto part = [&](Vector& values) { return view_of(values).slice(Elements(begin), Elements(n)); };
      const auto kept = static_cast<std::int64_t>(std::ceil(compression.ratio * static_cast<double>(n)));
      std::vector<std::byte> message(static_cast<std::size_t>(
          kernels::encoded_bytes(compression.codec, n, std::max<std::int64_t>(1, kept))));
      const View bytes(message.data(), kernels::DataType::uint8, Elements(std::ssize(message)));
      codecs_->encode(compression.codec, part(gradient), {}, compression.residuals ? part(residual_) : View(),
                      bytes);
      codecs_->decode(compression.codec, bytes, {}, false, part(all));
    };
    for (const auto& bucket : program_.buckets) {
      const auto first = program_.slots[bucket.parameters].first.value(), n = bucket.count.value();
      for (int server = 0; server < program_.servers; ++server) {
        const auto begin = first + server * n / program_.servers,
                   end = first + (server + 1) * n / program_.servers;
        if (compression.codec != kernels::Codec::topk) {
          if (begin < end) code(begin, end);
          continue;
        }
        for (const auto& tensor : bucket.tensors) {  // what of it this server has
          const auto from = std::max(begin, first + tensor.first.value()),
                     to = std::min(end, first + (tensor.first + tensor.count).value());
          if (from < to) code(from, to);
        }
      }
    }
    return all;
  }

 private:
  const step::Program& program_;
  Vector residual_;
  std::shared_ptr<kernels::Codecs> codecs_ = kernels::make_host_codecs(kernels::DataType::float64);
};

/// One process, in the order of the log: a server is a player of its part of all parameters, a worker has all
/// of them as it was answered.
class Play {
 public:
  Play(const Case& c, const Trial& options, Gradients& gradients, kernels::Backend& backend)
      : case_(c), options_(options), servers_(options.split.cadence.servers), gradients_(gradients) {
    const auto start = gradients.parameters();
    const auto plan = plan::choose(c.model, options.split);
    program_ = step::build_training_program(c.model, plan, {}, {.type = kernels::DataType::float64});
    views_.assign(static_cast<std::size_t>(program_.workers()), start);
    for (std::size_t worker = 0; worker < views_.size(); ++worker)
      pushed_.emplace_back(program_, static_cast<std::size_t>(program_.trained_count.value()));
    for (int server = 0; server < servers_.count; ++server) {
      std::vector<std::size_t> own;
      for (const auto& bucket : program_.buckets) {
        const auto share = program_.share_of(bucket, program_.workers() + server);
        const auto first = program_.slots[bucket.parameters].first.value();
        for (auto i = share.begin; i < share.end; ++i)
          own.push_back(static_cast<std::size_t>(first + i));
      }
      players_.emplace_back(picked(start, own), own.size(), options.optimizer, backend);
      owned_.push_back(std::move(own));
    }
  }

  /// Where that ends, from a log of pushes.
  Vector end(const std::vector<PushRow>& pushes) {
    const auto batches = batches_of(case_, options_);
    const auto steps = std::ssize(batches);
    for (std::int64_t step = 0; step < steps;) {
      if (!servers_.is_asynchronous || step < servers_.synchronous_steps) {
        synchronous(batches[static_cast<std::size_t>(step)], step);
        ++step;
        continue;
      }
      const auto end = step::next_quiescence(step, steps_of_epoch(case_), options_.checkpoint.every, steps);
      stretch(pushes, batches, step, end);
      step = end;
    }
    Vector w = views_.front();
    for (const auto& view : views_)
      EXPECT_EQ(view, w);
    return w;
  }

 private:
  static Vector picked(const Vector& all, const std::vector<std::size_t>& own) {
    Vector some;
    for (const auto i : own)
      some.push_back(all[i]);
    return some;
  }
  void answer(std::size_t server, int worker) {
    auto& view = views_[static_cast<std::size_t>(worker)];
    for (std::size_t i = 0; i < owned_[server].size(); ++i)
      view[owned_[server][i]] = players_[server].w[i];
  }
  /// A worker's part of the gradient of a batch, of its own parameters, as servers get it.
  Vector pushed(const std::vector<std::int64_t>& batch, int worker) {
    return pushed_[static_cast<std::size_t>(worker)].decoded(gradient(batch, worker));
  }
  Vector gradient(const std::vector<std::int64_t>& batch, int worker) {
    const auto part = program_.microbatch(step::MicrobatchId(), worker, std::ssize(batch));
    const auto trained = static_cast<std::size_t>(program_.trained_count.value());
    if (part.empty()) return Vector(trained);
    const std::span<const std::int64_t> own(batch.begin() + part.begin, batch.begin() + part.end);
    auto gradient = gradients_.at(views_[static_cast<std::size_t>(worker)], own);
    for (double& g : gradient)
      g *= static_cast<double>(part.size()) / static_cast<double>(batch.size());
    return gradient;
  }

  void synchronous(const std::vector<std::int64_t>& batch, std::int64_t step) {
    Vector sum(static_cast<std::size_t>(program_.trained_count.value()));
    for (int worker = 0; worker < program_.workers(); ++worker) {
      const auto one = pushed(batch, worker);
      std::ranges::transform(sum, one, sum.begin(), std::plus<>());
    }
    ++updates_;
    for (std::size_t s = 0; s < players_.size(); ++s) {
      players_[s].update(picked(sum, owned_[s]), options_.learning_rate.at(step), updates_);
      for (int worker = 0; worker < program_.workers(); ++worker)
        answer(s, worker);
    }
  }

  void stretch(const std::vector<PushRow>& pushes, const std::vector<std::vector<std::int64_t>>& batches,
               std::int64_t first, std::int64_t end) {
    const auto orders = orders_of(pushes, program_.workers(), servers_.count, first, end);
    std::vector<step::Turns> turns(players_.size(), step::Turns(servers_, program_.workers(), end - first));
    std::vector<std::int64_t> clocks(views_.size());
    std::vector<std::size_t> answers(views_.size());
    std::vector<Vector> under_way;
    for (int worker = 0; worker < program_.workers(); ++worker)
      under_way.push_back(pushed(batches[static_cast<std::size_t>(first)], worker));
    for (bool goes_on = true; goes_on;) {
      goes_on = false;
      for (std::size_t s = 0; s < players_.size(); ++s) {
        const auto taken = turns[s].taken();
        if (turns[s].is_over()) continue;
        const int worker = orders[s].at(static_cast<std::size_t>(taken));
        const auto w = static_cast<std::size_t>(worker);
        if (!turns[s].awaits(worker) || turns[s].clock_of(worker) > clocks[w]) continue;
        players_[s].update(picked(under_way[w], owned_[s]), options_.learning_rate.at(first + clocks[w]),
                           updates_ + taken + 1);
        for (const int to : turns[s].take(worker)) {
          const auto t = static_cast<std::size_t>(to);
          answer(s, to);
          if (++answers[t] < players_.size()) continue;
          answers[t] = 0;
          if (++clocks[t] < end - first)
            under_way[t] = pushed(batches[static_cast<std::size_t>(first + clocks[t])], to);
        }
        goes_on = true;
      }
    }
    for (const auto& of_server : turns)
      EXPECT_TRUE(of_server.is_over());
    updates_ += (end - first) * program_.workers();
  }

  const Case& case_;
  const Trial& options_;
  Servers servers_;
  Gradients& gradients_;
  step::Program program_;
  std::vector<Vector> views_;                    ///< by worker
  std::vector<Pushed> pushed_;                   ///< by worker
  std::vector<Player> players_;                  ///< by server
  std::vector<std::vector<std::size_t>> owned_;  ///< by server: which of all parameters
  std::int64_t updates_ = 0;
};

}  // namespace partita::tests
