/// After the first step with a given number of samples, a step allocates nothing: executor, operators and
/// communication, on the reference kernels and on the CPU's. oneDNN allocates inside each execute call; that
/// is told by who called and does not count.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "../mpi_main.hpp"
#include "cases.hpp"
#include "partita/step/build.hpp"

namespace {

std::atomic<long> allocations{0}, library_allocations{0};

/// Where the file that holds an address was loaded.
void* file_of(void* address) {
  Dl_info info{};
  return dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}
void* const onednn = file_of(dlsym(RTLD_DEFAULT, "dnnl_version"));

void* allocate(std::size_t bytes, void* caller) {
  ++(onednn != nullptr && file_of(caller) == onednn ? library_allocations : allocations);
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes, __builtin_return_address(0)); }
void* operator new[](std::size_t bytes) { return allocate(bytes, __builtin_return_address(0)); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace partita::tests {
namespace {

void expect_no_allocation(kernels::Backend& backend) {
  const int ranks = world().size();
  using Rule = kernels::OptimizerRule;
  for (const auto& [grid, rule] : {std::pair{topology::GridExtent{.data = ranks}, Rule::lamb},
                                   {{.pipeline = ranks}, Rule::lars},
                                   {{.tensor = ranks}, Rule::nesterov}})
    for (const auto& c : cases()) {
      std::vector<base::Violation> violations;
      const auto plan = plan::choose(c.model,
                                     {.grid = grid,
                                      .batch = 8,
                                      .pipeline = {.microbatches = 2},
                                      .norms = step::norms_of(optimizer(rule))},
                                     machine::Machine::shipped(), violations);
      ASSERT_TRUE(violations.empty());
      comm::Axes axes(world(), plan.grid, step::used_axes(c.model, plan));
      const auto program = step::build_training_program(
          c.model, plan, axes.at(), {.type = backend.type(), .layout = backend.image_layout()});
      state::Parameters parameters(program, backend.device(), axes.along(topology::Axis::data),
                                   optimizer(rule));
      parameters.initialize(program, c.model, model::Initializer::torch, 1);
      execute::Executor executor(program, c.model, backend, axes, parameters, {.largest_batch = 8});
      const std::vector<std::int64_t> indices{0, 1, 2, 3, 4, 5, 6, 7};
      execute::StepSpans spans;
      const auto step = [&] {
        executor.run({.dataset = &c.data.train, .indices = indices, .divisor = 8},
                     {.learning_rate = 0.01, .first_correction = 0.1, .second_correction = 0.1}, spans);
      };
      for (int warm_up = 0; warm_up < 3; ++warm_up)
        step();
      const long before = allocations;
      EXPECT_GT(before, 0) << "the counter sees allocations";
      for (int i = 0; i < 10; ++i)
        step();
      EXPECT_EQ(allocations - before, 0) << backend.name() << " " << c.name << " " << to_string(grid);
    }
}

TEST(Step, AllocatesNothingOnceBound) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float32);
  expect_no_allocation(*backend);
}

TEST(Step, OfTheCpuKernelsAllocatesNothingOutsideTheLibrary) {
  if (onednn == nullptr || onednn == file_of(reinterpret_cast<void*>(&expect_no_allocation)))
    GTEST_SKIP() << "oneDNN is no file of its own here";
  const auto backend = kernels::make_cpu_backend(1);
  expect_no_allocation(*backend);
  EXPECT_GT(library_allocations, 0) << "the library's are told apart";
}

}  // namespace
}  // namespace partita::tests
