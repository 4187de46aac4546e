/// Writes the sample record to the file named, with status, grid or other members changed: the input of
/// script tests.
///
/// write_sample FILE [key=value …]: seconds (factor on step times), seed (of ±1 % noise), precision, batch,
/// steps, status, wire (added wire bytes), ranks, accuracy, rate (configured), timeline (none, backwards,
/// alone); model (a model of so many parameters instead).
#include <cstdlib>
#include <iostream>
#include <map>

#include "partita/results/model_file.hpp"
#include "sample_record.hpp"

namespace {

void write_sample(int argc, char** argv) {
  using namespace partita::results;
  std::map<std::string, std::string> keys;
  for (int i = 2; i < argc; ++i) {
    const std::string text = argv[i];
    keys[text.substr(0, text.find('='))] = text.substr(text.find('=') + 1);
  }
  const auto number = [&](const char* key, double otherwise) {
    return keys.count(key) ? std::atof(keys[key].c_str()) : otherwise;
  };
  if (keys.count("model")) {
    const auto values = static_cast<std::int64_t>(number("model", 1));
    return write_model(
        argv[1],
        {.parameters = {
             {"linear1", "weight", {values}, std::vector<double>(static_cast<std::size_t>(values), 0.5)}}});
  }
  auto record = test::sample_record(static_cast<std::int64_t>(number("steps", 7)),
                                    static_cast<std::int64_t>(number("ranks", 2)));
  if (keys.empty()) return write_snapshot(argv[1], record);
  record.benchmarks.clear();
  const double noise =
      1 + 0.01 * (number("seed", 0) * 0.381966 - static_cast<int>(number("seed", 0) * 0.381966));
  for (auto& seconds : record.steps.seconds)
    seconds = 0.002 * number("seconds", 1) * noise;
  for (auto& phase : record.steps.phase)
    for (auto& seconds : phase)
      seconds = 0.0001 * noise;
  if (keys.count("rate")) record.attributes.config += "learning-rate = " + keys["rate"] + "\n";
  if (keys.count("precision")) record.attributes.precision = keys["precision"];
  if (keys.count("status"))
    record.attributes.status = keys["status"] == "invalid" ? Status::invalid : Status::running;
  if (keys["timeline"] == "none") record.timeline = {};
  if (keys["timeline"] == "backwards") record.timeline.rows[2].end_seconds = -1;
  if (keys["timeline"] == "alone") record.timeline.rows.resize(3);
  record.attributes.batch = static_cast<std::int64_t>(number("batch", 64));
  record.traffic[0].counts.wire_bytes += Bytes(static_cast<std::int64_t>(number("wire", 0)));
  record.epochs.back().test_accuracy = number("accuracy", 0.97) + 0.0001 * (noise - 1);
  write_snapshot(argv[1], record);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    write_sample(argc, argv);
  } catch (const std::exception& wrong) {
    std::cerr << wrong.what() << '\n';
    return 1;
  }
}
