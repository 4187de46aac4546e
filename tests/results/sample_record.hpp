/// A record with something in every group, and a folder of its own for each test.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "partita/results/result_file.hpp"

namespace partita::results::test {

/// A pipeline of `ranks` stages, 10 ms a step: each stage sends its activations on, and reduces two gradients
/// at once behind its backward. The clock of every rank but the first starts a little early.
inline Timeline sample_timeline(std::int64_t steps, std::int64_t ranks) {
  Timeline timeline{.rows = {}, .clock_uncertainty_seconds = steps > 0 ? 2e-6 : 0};
  for (std::int64_t step = 0; step < steps; ++step)
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
      const auto add = [&](double start, double end, TimelineRow row) {
        const double begin = 0.01 * static_cast<double>(step) - 1e-5 * static_cast<double>(rank);
        row.rank = rank;
        row.step = step;
        row.start_seconds = begin + start;
        row.end_seconds = begin + end;
        timeline.rows.push_back(row);
      };
      const TimelineRow forward{.kind = "forward", .layer = "conv1", .queue = "compute"};
      const TimelineRow backward{.kind = "backward", .layer = "conv1", .microbatch = 3, .queue = "compute"};
      const TimelineRow reduction{
          .kind = "all_reduce", .queue = "communication", .axis = "data", .purpose = "gradient"};
      const auto message = [&](const char* kind, std::int64_t sender) {
        return TimelineRow{.kind = kind,
                           .microbatch = 0,
                           .chunk = 1,
                           .queue = "communication",
                           .axis = "pipeline",
                           .purpose = "activation",
                           .bytes = Bytes(4096),
                           .flow = step * ranks + sender};
      };
      for (std::int64_t m = 0; m < 2; ++m) {
        auto row = forward;
        row.microbatch = m;
        add(0.001 * static_cast<double>(m), 0.001 * static_cast<double>(m + 1), row);
      }
      if (rank > 0) add(0.0005, 0.0018, message("receive", rank - 1));
      if (rank + 1 < ranks) add(0.001, 0.0015, message("send", rank));
      for (const char* phase : {"data", "parameters"}) {
        auto row = backward;
        row.phase = phase;
        const double start = row.phase == "data" ? 0.002 : 0.003;
        add(start, start + 0.001, row);
      }
      for (std::int64_t i = 0; i < 2; ++i) {
        auto row = reduction;
        row.bytes = Bytes(1000 * (i + 1));
        add(i == 0 ? 0.003 : 0.0035, i == 0 ? 0.005 : 0.0055, row);
      }
      add(0.003, 0.0032, {.kind = "copy", .queue = "copy", .bytes = Bytes(512)});
      add(0.004, 0.005, {.kind = "wait", .queue = "compute"});
      add(0.005, 0.005, {.kind = "update", .layer = "schön1", .queue = "compute"});
    }
  return timeline;
}

inline RunRecord sample_record(std::int64_t steps = 7, std::int64_t ranks = 2) {
  RunRecord r;
  r.attributes = new_attributes();
  r.attributes.command_line = "partita-train --config inputs/runs/digits_cnn.ini";
  r.attributes.config = "[train]\nbatch = 64\n# schön\n";
  r.attributes.config_hash = std::string(64, 'a');
  r.attributes.seed = 18446744073709551615ull;
  r.attributes.status = Status::complete;
  r.attributes.dataset = "digits";
  r.attributes.dataset_hash = std::string(64, 'b');
  r.attributes.model = "cnn-mnist";
  r.attributes.precision = "fp32";
  r.attributes.grid = {.data = static_cast<int>(ranks)};
  r.attributes.algorithm = "ring";
  r.attributes.batch = 64;
  r.environment.entries = {{"mpi", "MPICH 4.0.2"}, {"compiler", "GCC 12.2"}, {"SLURM_JOB_ID", ""}};
  for (int rank = 0; rank < ranks; ++rank) {
    r.environment.ranks.push_back({.host = "node" + std::string(static_cast<std::size_t>(rank), 'x'),
                                   .cpu_model = "Xeon®",
                                   .cores = 1,
                                   .coordinate = {.data = rank}});
    r.memory.push_back({.parameters = Bytes(1000 + rank),
                        .gradients = Bytes(1000),
                        .optimizer_state = Bytes(1000),
                        .activations = Bytes(5'000'000'000),
                        .communication_buffers = Bytes(0)});
    for (auto operation : {collective::Operation::all_reduce, collective::Operation::barrier})
      r.traffic.push_back({.rank = rank,
                           .key = {.activity = collective::Activity::train,
                                   .axis = topology::Axis::data,
                                   .operation = operation,
                                   .purpose = collective::Purpose::gradient},
                           .counts = {.calls = 7,
                                      .messages = 14,
                                      .payload_bytes = Bytes(7000),
                                      .wire_bytes = Bytes(7001),
                                      .wire_bytes_received = Bytes(7002),
                                      .window_bytes_read = Bytes(7003),
                                      .window_bytes_written = Bytes(7004),
                                      .modelled_wire_bytes = operation == collective::Operation::barrier
                                                                 ? std::nullopt
                                                                 : std::optional(Bytes(7005)),
                                      .staged_bytes = Bytes(7006),
                                      .exposed_seconds = 0.25,
                                      .hidden_seconds = 0.5}});
  }
  // To every other rank, as of four all-reduces in a window and a ring of messages.
  for (int rank = 0; rank < ranks; ++rank)
    for (int peer = 0; peer < ranks; ++peer)
      if (peer != rank)
        r.peers.push_back({.rank = rank,
                           .activity = collective::Activity::train,
                           .axis = topology::Axis::data,
                           .counts = {.peer = peer,
                                      .wire_bytes = Bytes(peer == (rank + 1) % ranks ? 7001 : 0),
                                      .wire_bytes_received = Bytes(rank == (peer + 1) % ranks ? 7001 : 0),
                                      .window_bytes_read = Bytes(100 + peer),
                                      .window_bytes_written = Bytes(200 + peer)}});
  r.layers = {{.name = "conv1",
               .kind = "conv",
               .output = "10x24x24",
               .parameters = Elements(260),
               .flops_per_sample = 288000},
              {.name = "relu1", .kind = "relu", .output = "10x24x24"}};
  r.steps.ranks = ranks;
  for (std::int64_t s = 0; s < steps; ++s) {
    std::vector<PhaseSeconds> phases;
    std::vector<double> seconds;
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
      const double base = static_cast<double>(s * 100 + rank * 10);
      phases.push_back({base, base + 1, base + 2, base + 3, base + 4, base + 5, base + 6, base + 7});
      seconds.push_back(base + 8);
    }
    r.steps.append({.loss = 2.3 / static_cast<double>(s + 1),
                    .samples = s + 1 == steps ? 32 : 64,
                    .seconds = seconds.back(),
                    .learning_rate = 0.01,
                    .phases = phases,
                    .rank_seconds = seconds});
  }
  r.epochs = {
      {.epoch = 1, .train_loss = 0.5, .seconds = 1.5, .samples_per_second = 8000, .learning_rate = 0.01},
      {.epoch = 2,
       .train_loss = 0.25,
       .test_loss = 0.2,
       .test_accuracy = 0.97,
       .seconds = 1.5,
       .samples_per_second = 8000,
       .learning_rate = 0.01}};
  r.reductions = {{.purpose = collective::Purpose::metric, .payload = Bytes(16), .algorithm = "window"},
                  {.purpose = collective::Purpose::gradient,
                   .payload = Bytes(4096),
                   .algorithm = "ring",
                   .in_window = true}};
  r.figures = {{"samples_per_second", 8000, "samples/s"}, {"time_to_accuracy", 3, "s"}};
  r.benchmarks = {{"all_reduce/ring", "ranks=2 bytes=64", "s", 0, 1e-6},
                  {"all_reduce/ring", "ranks=2 bytes=64", "s", 1, 2e-6}};
  r.inference = {.prediction = {7, 0, 9}, .latency_seconds = {0.25, 0.125}};
  r.plans = {{"data=2 pipeline=1 tensor=1", 0.5, 0.625, true}, {"data=1 pipeline=2 tensor=1, gpipe", 0.75}};
  r.replans = {
      {4, "data=2 pipeline=1 tensor=1", "data=1 pipeline=2 tensor=1, gpipe", 0.5, 2, 1.75, 1, 1.125}};
  r.critical_path = {{"kernels conv", "conv1+relu", 0.5}, {"network.node.latency", "gradients of fc1", 0.25}};
  r.scaling = {{1, 32, 0.5, 64}, {2, 32, 0.25, 128}};
  r.changes = {{3, "train.learning-rate", "0.1", "0.01"}, {5, "train.steps", "-", "7"}};
  r.timeline = sample_timeline(std::min<std::int64_t>(steps, 3), ranks);
  return r;
}

/// A fresh folder, removed with its content.
class FolderTest : public ::testing::Test {
 protected:
  FolderTest() {
    std::string name = (std::filesystem::temp_directory_path() / "partita-results-XXXXXX").string();
    folder = mkdtemp(name.data());
  }
  ~FolderTest() override {
    std::error_code error;
    std::filesystem::remove_all(folder, error);
  }
  std::filesystem::path folder;
};

}  // namespace partita::results::test
