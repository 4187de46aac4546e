/// What is to be done, before any machine says how long it takes: of a layer and of an instruction. Whatever
/// chooses, predicts or reports FLOPs counts them here.
///
/// A multiply-add is two FLOPs; each backward pass of a layer has those of its forward pass; a ReLU has one
/// for each element and pass. Bytes count each operand once. What instructions hand each other is taken to
/// lie in caches; what a step touches once (data, parameters in their update, the stack of gradients) comes
/// from main memory.
#pragma once

#include "partita/kernels/optimizer.hpp"
#include "partita/model/passes.hpp"
#include "partita/step/program.hpp"

namespace partita::cost {

struct Work {
  double flops = 0;
  kernels::Bytes cache{}, main{};  ///< moved between a core and its caches, and its main memory
  std::int64_t calls = 0;          ///< of kernels

  Work& operator+=(const Work&);
  friend bool operator==(const Work&, const Work&) = default;
};

/// What a rank takes squares of in an instruction for the norm of the gradient, and of how many tensors that
/// is: the largest share of a bucket that ranks share.
struct Squared {
  kernels::Elements elements{};
  std::int64_t tensors = 0;
};
Squared squared_by(const step::Program&, const step::Instruction&);

/// What an instruction encodes or decodes: values, of the largest share where ranks encode shares, in how
/// many messages; of powersgd the elements of matrices, and the rank. Of what topk sends the values that were
/// sent; of secure sums words of 32 bits, and key streams that mask them.
struct Coded {
  kernels::Elements values{};
  std::int64_t pieces = 0;
};
Coded coded_by(const step::Program&, const step::Instruction&);

/// Samples of a unit that a rank has of its micro-batch of `samples`.
std::int64_t samples_of(const step::Program&, const step::Unit&, std::int64_t samples);

/// One pass, forward or for a gradient, over a layer or a rank's share of one (`step::Unit::local`).
Work work_of(const model::Layer&, std::int64_t samples, kernels::DataType);

/// Whether this part of an update moves the states of its rule.
bool moves_states(const kernels::OptimizerDescription&, step::Phase);

/// An update of so many parameters, counted as SGD's with momentum but for the bytes: w, g and each state are
/// read, w and the states written. By norms the `statistics` read what they are of, and make the direction,
/// where there is one.
Work work_of_update(kernels::Elements parameters, kernels::DataType,
                    const kernels::OptimizerDescription& = kernels::describe(kernels::OptimizerRule::sgd),
                    step::Phase = step::Phase::none);

/// An instruction of the program's role, of which the micro-batch on its data rank has `samples` samples (of
/// which a share of the samples is cut here). `start` and `wait` do nothing themselves.
Work work_of(const step::Program&, const step::Instruction&, std::int64_t samples);

/// FLOPs of a sample in all passes of a step over a layer, and over the model.
double flops_of_sample(const model::ModelSpec&, int layer);
double flops_of_sample(const model::ModelSpec&);

}  // namespace partita::cost
