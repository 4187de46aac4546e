/// The traffic formula: what a program asks to have moved or reduced in one step, by axis, operation and
/// purpose. A ledger's `train` rows are this times the number of steps.
#pragma once

#include <map>

#include "partita/step/program.hpp"

namespace partita::step {

struct PayloadOfStep {
  std::int64_t calls = 0;
  Bytes payload{};
};

/// Payload of one step by key (activity train) of a rank with this program, for a batch of `batch` samples.
std::map<collective::TrafficKey, PayloadOfStep> payload_of_step(const Program&, int data_rank,
                                                                std::int64_t batch);

}  // namespace partita::step
