/// How far from its core a rank has to reach for what an instruction touches: into which cache, or beyond.
///
/// A byte is found in a cache if no more bytes than the cache holds were touched since it was touched last:
/// the distance of reuse of Mattson, Gecsei, Slutz and Traiger 1970 (doi:10.1147/sj.92.0078), over the places
/// that slots have in the arena (`step::plan_memory`), in a step after many others. Besides tensors
/// each instruction touches its code, which micro-batches share. Kernels' own workspaces, and what the data
/// set's samples displace, are not counted.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "partita/cost/kernel.hpp"
#include "partita/machine/machine.hpp"

namespace partita::cost {

/// About what code a kernel runs, with what describes its operands.
inline constexpr kernels::Bytes code_bytes{16 << 10};

/// Of what each instruction touches, the per cent (in tens) that lie beyond each of the caches: none up to
/// half of the bytes that a rank has of a cache (active ranks sit on neighbouring cores, which share it, and
/// ranks that share a core have equal parts), all from one and a half times those. For a batch of `batch`
/// samples, as the first data rank has it.
std::vector<std::vector<std::int64_t>> beyond_caches(const step::Program&, std::int64_t batch,
                                                     const Execution&, std::span<const machine::Cache>);

/// All of a program and a batch that `beyond_caches` looks at: programs of equal texts, of whatever ranks and
/// plans, find as much there. Written in a fraction of the time.
std::string text_of_touched(const step::Program&, std::int64_t batch);

}  // namespace partita::cost
