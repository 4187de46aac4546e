/// The traffic formula: what a program asks to have reduced in one step, per purpose. A ledger's `train` rows
/// are this times the number of steps.
#pragma once

#include <map>

#include "partita/step/program.hpp"

namespace partita::step {

struct PayloadOfStep {
  std::int64_t calls = 0;
  Bytes payload{};
};

/// Payload of one step of the program by key (activity train).
std::map<collective::TrafficKey, PayloadOfStep> payload_of_step(const Program&);

}  // namespace partita::step
