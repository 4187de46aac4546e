/// The rows of the ladder: what a kernel adds to the one before it, what others published of such kernels,
/// and our own figures where they were measured in this run, else a word that says so.
#include "ladder_table.hpp"

#include <algorithm>
#include <array>
#include <iomanip>
#include <ostream>
#include <sstream>
#include <string_view>

#include "gpu_campaign.hpp"
#include "partita/results/statistics.hpp"

namespace partita::bench_kernels {
namespace {

struct Described {
  std::string_view name, adds, published;
};

constexpr std::string_view boehm = "S. Boehm 2022, RTX A6000, 4096³";

/// What each adds, and figures of such kernels that others published; never ours.
constexpr std::array described{
    Described{"naive", "a thread for each element of C; neighbours read neighbours",
              "0.31 TFLOP/s uncoalesced, 1.99 coalesced, of cuBLAS's 23.25"},
    Described{"shared_tile", "32×32 tiles in shared memory, either operand read along memory",
              "2.98 of 23.25"},
    Described{"register_tile", "8×8 sums in a thread's registers, loads of four elements", "18.24 of 23.25"},
    Described{"warp_tile", "tiles of warps, cp.async two tiles ahead, blocks in bands for the L2",
              "21.78 of 23.25, without copies ahead"},
    Described{"split_k", "blocks that share a long sum; pieces added in their order", ""},
    Described{"tf32", "tensor cores by mma.sync on TF32, fragments by ldmatrix", ""},
    Described{"bf16", "tensor cores by mma.sync on bfloat16", ""},
    Described{"hopper_bf16",
              "wgmma, TMA loads and stores, producer and consumers, clusters of 2, persistent blocks",
              "808 TFLOP/s of 795 (P. Shankhdhar 2024, H100, 8192³)"},
};

std::string published(const Described& d) {
  if (d.published.empty()) return "none known";
  const bool sourced = d.published.find('(') != std::string_view::npos;
  return std::string(d.published) + (sourced ? "" : " (" + std::string(boehm) + ")");
}

const Described* find(std::string_view name) {
  const auto found = std::ranges::find(described, name, &Described::name);
  return found == described.end() ? nullptr : &*found;
}

/// "31.20 | 0.94 (0.93 to 0.95)" of the kernel at 4096³.
std::string figures(GpuCampaign& campaign, const kernels::cuda::LadderKernel& kernel) {
  for (const auto& c : campaign.cases()) {
    if (!c.product || c.precision != kernel.precision || c.product->m != 4096 || c.product->n != 4096 ||
        c.product->k != 4096 || c.product->bf16_result)
      continue;
    const auto& result = campaign.measured(c);
    for (const auto& way : result.ways) {
      if (way.name != kernel.name) continue;
      std::ostringstream text;
      text << std::fixed << std::setprecision(2) << result.flops_per_second(way) * 1e-12 << " | ";
      if (way.error > 1) return "wrong result | -";
      const auto ratios = result.ratios(way);
      if (ratios.empty()) return text.str() + "-";
      text << std::setprecision(3) << results::median(ratios) << " (" << std::ranges::min(ratios) << " to "
           << std::ranges::max(ratios) << ")";
      return text.str();
    }
  }
  return "- | -";
}

}  // namespace

void print_ladder(std::ostream& out, GpuCampaign* campaign) {
  out << "| kernel | arithmetic | adds | published of such kernels | TFLOP/s at 4096³ | × cuBLAS (min to "
         "max) |\n"
         "|---|---|---|---|---|---|\n";
  for (const auto& kernel : kernels::cuda::ladder()) {
    const auto* d = find(kernel.name);
    out << "| " << kernel.name << " | " << to_string(kernel.precision) << " | "
        << (d ? std::string(d->adds) : "see its file") << " | " << (d ? published(*d) : "none known") << " | "
        << (campaign ? figures(*campaign, kernel) : "not measured yet: no GPU was at hand | not measured yet")
        << " |\n";
  }
}

}  // namespace partita::bench_kernels
