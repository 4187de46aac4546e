/// What an instruction runs: the identity under which its time is measured and looked up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "partita/kernels/optimizer.hpp"
#include "partita/machine/kernel_time.hpp"
#include "partita/step/program.hpp"

namespace partita::cost {

/// How a rank runs a program, as far as the program does not say it. Names outlive it, as those of back-ends
/// and rules do.
struct Execution {
  std::string_view implementation = "cpu";  ///< name of the back-end
  std::string_view optimizer = "sgd";       ///< name of its rule
  int threads = 1;                          ///< of the rank
  int active_ranks = 1;                     ///< of its node, that compute at the same time
  /// By how much ranks of the node have more threads than it has cores (`Machine::crowding`): kernels take so
  /// much longer, and find so much less in caches.
  double crowding = 1;
};

const kernels::OptimizerDescription& rule_of(const Execution&);

/// Of a compute or copy instruction, where its micro-batch has `samples` samples on this data rank (of which
/// a share of the samples is cut here). Instructions of one key do the same work, whatever program, unit or
/// rank they belong to:
///
///   kernel                     phase                            shape
///   linear                     forward, backward-*              samples x in x out
///   conv                       forward, backward-*              samples x channels x height x width x
///   filters
///                                                               x kernel x stride x padding (each h, w)
///   maxpool, avgpool           forward, backward-data           samples x channels x height x width x kernel
///                                                               x stride (each h, w)
///   batchnorm                  forward, forward-statistics, …   samples x channels x plane
///   flatten                    forward, backward-data           samples x channels x plane
///   relu, tanh, dropout        forward, backward-data           elements
///   relu                       backward-activation (in place)   elements
///   cross-entropy, mse         gradient or sums, a half of it   samples x classes (outputs)
///   load                       input or labels                  samples x features; of images
///                                                               samples x channels x plane
///   convert, pack, unpack                                       elements copied x runs of neighbours among
///                                                               them x elements set to 0
///   combine                                                     elements
///   share                                                       elements
///   encode, decode             codec, of powersgd two halves    values x messages; of powersgd x rank; of
///                              ("+residual": leaves one)        decode by topk values sent; by secure
///                                                               words x key streams
///   norm                       of a bucket, finish              elements x tensors
///   update                     rule of the optimizer, -norms    parameters; by norms x tensors
///   idle                                                        0: nothing is left to do
///
/// A kernel that does more or less than its name says ends in "+relu" (applied to its result) or "+plain"
/// (without the bias, or the weight and bias, that it could have); batchnorm with running statistics in
/// "+running". A backward phase that adds to gradients ends in "+add". Layouts are those of images.
machine::KernelKey key_of(const step::Program&, const step::Instruction&, std::int64_t samples,
                          const Execution&);

}  // namespace partita::cost
