/// Which plans are chosen, as they were: of the trainings that equivalence is tested with and of all run
/// files, on grids of up to eight ranks. A change of the costs or of the searches shows here;
/// PARTITA_WRITE_CHOSEN=FILE writes the plans as they are now.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "../run/covering_array.hpp"
#include "partita/config/options.hpp"

namespace partita::tests {
namespace {

/// A letter a layer, in capitals what all ranks do alike: Replicated, Lazy, by batch, column, row, height;
/// the loss by how it reads the network's output.
std::string placement_of(const step::Plan& plan) {
  std::string text;
  for (const auto& layer : plan.placement.layers)
    text += "RLbcrh"[static_cast<int>(layer.variant)];
  return text + ' ' + "R?bc??"[static_cast<int>(plan.placement.loss.spread)];
}

std::string text_of(const model::ModelSpec& model, const plan::Request& request) {
  std::vector<base::Violation> violations;
  const auto plan = plan::choose(model, request, machine::Machine::shipped(), violations);
  if (!violations.empty()) return "refused";
  std::string text = placement_of(plan);
  for (const int layer : plan.partition)
    text += ' ' + std::to_string(layer);
  return text;
}

std::string digits(const topology::GridExtent& grid) {
  return std::to_string(grid.data) + 'x' + std::to_string(grid.pipeline) + 'x' + std::to_string(grid.tensor);
}

void of_covering_array(std::ostream& out) {
  for (std::size_t i = 0; i < covering_array().size(); ++i) {
    const auto& d = covering_array()[i];
    const auto c = cases()[d.net];
    out << "case " << i << ' ' << digits(d.grid) << ": "
        << text_of(placed(c.model, d.placing), options_for(c, d).split) << '\n';
  }
}

const std::vector<topology::GridExtent> grids{{1, 1, 2}, {1, 1, 3}, {1, 1, 4}, {2, 1, 2},
                                              {2, 1, 4}, {3, 1, 2}, {1, 2, 1}, {1, 3, 1},
                                              {1, 4, 1}, {1, 2, 2}, {1, 2, 3}};

config::RunOptions options_in(const std::filesystem::path& file) {
  const std::string argument = "--config=" + file.string();
  const char* argv[] = {"test", argument.c_str()};
  std::vector<base::Violation> violations;
  auto options = config::parse(2, argv, violations);
  if (!violations.empty()) throw base::ConfigError(violations);
  return options;
}

void of_run_files(std::ostream& out) {
  std::set<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(INPUTS "/runs"))
    files.insert(entry.path());
  for (const auto& file : files) {
    const auto options = options_in(file);
    for (const auto& grid : grids) {
      const auto& t = options.train;
      const plan::Request request{.grid = grid,
                                  .batch = t.batch_per_rank ? *t.batch_per_rank * grid.data : t.batch,
                                  .pipeline = {.chunks = options.pipeline.chunks}};
      out << file.filename().string() << ' ' << digits(grid) << ": " << text_of(options.model, request)
          << '\n';
    }
    const plan::Request whole{.grid = {1, 2, 3}, .batch = 256, .outputs = plan::Outputs::whole};
    out << file.filename().string() << " inferred: " << text_of(model::frozen(options.model), whole) << '\n';
  }
}

TEST(ChosenPlans, AreThoseThatWereChosen) {
  std::ostringstream chosen;
  of_covering_array(chosen);
  of_run_files(chosen);
  if (const char* path = std::getenv("PARTITA_WRITE_CHOSEN")) std::ofstream(path) << chosen.str();
  std::ifstream file(CHOSEN);
  std::istringstream now(chosen.str());
  std::string line, expected;
  int lines = 0;
  while (std::getline(file, expected)) {
    std::getline(now, line);
    EXPECT_EQ(line, expected);
    ++lines;
  }
  EXPECT_FALSE(std::getline(now, line)) << line;
  EXPECT_GT(lines, 300);
}

}  // namespace
}  // namespace partita::tests
