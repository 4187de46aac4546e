/// How much longer instructions take because their rank has tensors under way to others meanwhile. It follows
/// from the program alone, so that whoever asks for a time gets the same.
#pragma once

#include <span>
#include <vector>

#include "partita/machine/machine.hpp"
#include "partita/step/program.hpp"

namespace partita::cost {

/// By instruction, what it takes ÷ what its kernel takes alone: 1, or the machine's factor for its kind of
/// kernel where a transfer of activations, of gradients of either kind, of parameters or of halos was started
/// before it and is waited for behind it. Receives do not count: most are posted long before anything comes.
/// Empty where the machine has no factors.
std::vector<double> slowdowns_of(const step::Program&, std::span<const machine::Slowdown>);

}  // namespace partita::cost
