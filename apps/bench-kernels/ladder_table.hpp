/// The ladder of product kernels as kernels/README.md shows it.
#pragma once

#include <iosfwd>

namespace partita::bench_kernels {

class GpuCampaign;

/// A row for each kernel: what it adds, what is published of such kernels, and its rate at 4096³ beside the
/// library's, measured now; without a campaign the row says that it was not measured.
void print_ladder(std::ostream&, GpuCampaign*);

}  // namespace partita::bench_kernels
