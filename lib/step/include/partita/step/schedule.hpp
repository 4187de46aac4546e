/// Pipeline schedules: in which order a stage works on its (chunk, micro-batch, pass). Sends, receives and
/// waits are not their business; one common pass adds them to any order.
///
/// Sources: GPipe, Huang et al. 2019, arXiv:1811.06965; 1F1B and interleaving, Narayanan et al. 2021,
/// arXiv:2104.04473; ZB-H1, Qi et al. 2023, arXiv:2401.10241.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "partita/base/id.hpp"

namespace partita::step {

using ChunkId = base::Id<struct Chunk>;  ///< of one stage's chunks
using MicrobatchId = base::Id<struct Microbatch>;

enum class Schedule { naive, gpipe, one_f_one_b, interleaved, zb_h1 };

/// All, the default first.
std::vector<Schedule> schedules();
std::string_view to_string(Schedule);
std::optional<Schedule> parse_schedule(std::string_view);
/// Whether a stage may have several chunks.
bool takes_chunks(Schedule);
/// Whether the backward pass comes in halves, which also on one stage changes what a step does.
bool parts_backward(Schedule);

/// `backward` is the whole; `backward_input` and `backward_weight` are its halves.
enum class Pass { forward, backward, backward_input, backward_weight };

struct Action {
  Pass pass = Pass::forward;
  ChunkId chunk;
  MicrobatchId microbatch;
  friend bool operator==(const Action&, const Action&) = default;
};

struct PipelineOptions {
  Schedule schedule = Schedule::one_f_one_b;
  int microbatches = 1;
  int chunks = 1;  ///< of a stage; chunk c of stage s is chunk c·stages + s of the model
  int warmup = 1;  ///< 1F1B: forwards ahead per stage that follows; 2 hides the round trip at twice the stash
};

/// The order of one stage of a training step. Every (chunk, micro-batch) appears once forward and once
/// backward (or once in each half); of each chunk the micro-batches come in ascending order in each pass, so
/// that the first one's gradients overwrite, those of the others are added, and the last one's complete them.
std::vector<Action> order_of(const PipelineOptions&, int stages, int stage);

/// The order of every stage when nothing is trained: forwards only.
std::vector<Action> forward_order_of(const PipelineOptions&, int stages);

}  // namespace partita::step
