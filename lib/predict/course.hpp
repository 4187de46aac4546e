/// How a rank comes through a step if no other rank is late, and nobody else is on its links.
#pragma once

#include <cstdint>
#include <vector>

#include "partita/predict/candidates.hpp"
#include "partita/step/alike.hpp"

namespace partita::predict {

/// How much there is to a step: instructions, and rounds of their transfers.
struct Length {
  std::int64_t instructions = 0, rounds = 0;
  Length& operator+=(const Length& other) {
    instructions += other.instructions;
    rounds += other.rounds;
    return *this;
  }
};

/// What a transfer sends to one rank.
struct Sent {
  int to = 0;
  bool rendezvous = false;  ///< its sender waits until it has left
  kernels::Bytes bytes{};
};

/// A transfer of a rank by itself; those that are alike have the same.
struct Rounds {
  machine::Picoseconds time = 0;  ///< were all others early
  std::int64_t count = 0;
  std::vector<Sent> sent;
};

struct Course {
  struct Started {
    std::size_t rounds = 0;          ///< which of the transfers that differ
    machine::Picoseconds start = 0;  ///< after the end of the step before
    machine::Picoseconds rest = 0;   ///< what the core has to do once it has waited for it
  };
  machine::Picoseconds busy = 0;  ///< computes, starts transfers, waits no longer than that costs
  machine::Picoseconds time = 0;  ///< with its transfers
  Length length;
  std::vector<Rounds> rounds;
  std::vector<Started> started;
};

/// Ranks of one role: they share a program and what its instructions cost.
class Role {
 public:
  /// All outlive it.
  Role(const Supposed&, const cost::JobTimes&, const Subject&, const topology::Coordinate&,
       std::int64_t batch);
  Role(const Role&) = delete;
  Role& operator=(const Role&) = delete;

  [[nodiscard]] Course course(int rank) const;

 private:
  [[nodiscard]] Rounds rounds_of(int rank, const step::Transfer&) const;

  const Supposed& supposed_;
  std::int64_t batch_;
  step::Program program_;
  step::Alike alike_;
  step::ProgramsByRank by_rank_;  ///< as if all ranks had it
  sim::Costs costs_;
};

}  // namespace partita::predict
