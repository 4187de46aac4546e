/// Which normalisation and classes a run with a saved model has: the model's where the options leave them
/// open; where they contradict it, or the data cannot be read that way, it says which of the two is to blame.
#include "partita/job/preprocessing.hpp"

#include <algorithm>
#include <ostream>
#include <string>

namespace partita::job {
namespace {

using base::Violation;

data::Moments moments_of(const results::TrainingData& data) {
  data::Moments moments{.mean = {}, .stddev = {}};
  for (const auto& channel : data.normalisation) {
    moments.mean.push_back(channel.mean);
    moments.stddev.push_back(channel.stddev);
  }
  return moments;
}

std::string to_string(const data::Moments& moments) {
  return "mean " + data::to_string(moments.mean) + ", std " + data::to_string(moments.stddev);
}

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// Takes the model's numbers where a key leaves them open; one number of a key is meant for every channel.
void take(const char* key, const std::vector<double>& of_model, const std::filesystem::path& path,
          std::vector<double>& numbers, std::vector<Violation>& violations) {
  const auto asked = numbers;
  numbers = of_model;
  const bool agrees = asked.empty() || asked == of_model ||
                      (asked.size() == 1 && std::all_of(of_model.begin(), of_model.end(),
                                                        [&](double n) { return n == asked.front(); }));
  if (!agrees)
    violations.push_back({key, data::to_string(asked),
                          "contradicts load-model: " + path.string() + " was trained with " +
                              data::to_string(of_model) + "; leave the key out, or give that"});
}

/// What is wrong with normalisation that the options did not ask for is told as the model's fault, not as
/// theirs.
void blame_normalisation(const config::RunOptions& options, const results::TrainingData& data,
                         std::size_t first, std::vector<Violation>& violations) {
  const auto is_of_model = [&](const Violation& v) {
    return (v.key == "data.mean" && options.data.mean.empty()) ||
           (v.key == "data.std" && options.data.stddev.empty());
  };
  const auto begin = violations.begin() + static_cast<std::ptrdiff_t>(first);
  const auto end = std::remove_if(begin, violations.end(), is_of_model);
  if (end == violations.end()) return;
  violations.erase(end, violations.end());
  violations.push_back({"load-model", options.load_model.string(),
                        "was trained on samples of shape " + kernels::to_string(data.sample_shape) +
                            ", whose normalisation does not fit those of " + options.data.name});
}

/// The largest label of a set whatever else the options say of it; less than 0 where it has none.
std::int64_t largest_label(const config::RunOptions& options, DataSets& sets) {
  constexpr std::int64_t labels_of_a_byte = 256;
  data::DataOptions any;
  any.name = options.data.name;
  any.dir = options.data.dir;
  any.classes = labels_of_a_byte;
  std::vector<Violation> ignored;
  const auto data = sets.load(any, ignored);
  std::int64_t largest = -1;
  if (data)
    for (const auto* set : {&data->train, &data->test})
      for (const std::int64_t label : set->labels)
        largest = std::max(largest, label);
  return largest;
}

/// The same for labels beyond the model's classes, which no other `data.classes` could mend.
void blame_classes(const config::RunOptions& options, const results::TrainingData& data, DataSets& sets,
                   std::size_t first, std::vector<Violation>& violations) {
  const auto largest = largest_label(options, sets);
  if (largest < data.classes) return;
  // With any number of classes the set was read: what is wrong with its files now is wrong with their labels.
  const auto is_of_labels = [](const Violation& v) {
    return v.key == "data.classes" || !v.key.starts_with("data.");
  };
  const auto begin = violations.begin() + static_cast<std::ptrdiff_t>(first);
  const auto end = std::remove_if(begin, violations.end(), is_of_labels);
  if (end == violations.end()) return;
  violations.erase(end, violations.end());
  violations.push_back({"load-model", options.load_model.string(),
                        "was trained on " + std::to_string(data.classes) + " classes; " + options.data.name +
                            " has labels up to " + std::to_string(largest)});
}

std::vector<std::string> notes_on(const results::ModelFile& file, const config::RunOptions& options,
                                  const data::Dataset& set) {
  const auto path = options.load_model.string(), used = to_string(set.normalisation);
  const bool chosen = !options.data.mean.empty() || !options.data.stddev.empty();
  const std::string source = chosen ? " (data.mean, data.std)" : " (this training set's)";
  if (!file.data)
    return {path +
            " does not say how its training normalised, as an earlier version or another program wrote " +
            "it: using " + used + source};
  std::vector<std::string> notes;
  const auto trained = moments_of(*file.data);
  if (trained == set.normalisation)
    notes.push_back("normalising as " + path + " was trained: " + used);
  else
    notes.push_back("normalising with " + used + source + "; " + path + " was trained with " +
                    to_string(trained) + ", which data.mean and data.std can keep");
  const auto& names = file.data->class_names;
  if (!names.empty() && !set.class_names.empty() && names != set.class_names)
    notes.push_back("the classes of " + path + " are " + list(names) + "; those of " + set.name + " are " +
                    list(set.class_names));
  if (const auto precision = config::to_string(options.train.precision); file.data->precision != precision)
    notes.push_back(path + " was trained in " + file.data->precision + ", this run computes in " +
                    std::string(precision));
  return notes;
}

}  // namespace

results::TrainingData training_data(const config::RunOptions& options, const data::Dataset& train) {
  results::TrainingData data{.name = train.name,
                             .sample_shape = train.sample_shape,
                             .precision = std::string(config::to_string(options.train.precision)),
                             .normalisation = {},
                             .classes = train.classes,
                             .class_names = train.class_names};
  for (std::int64_t c = 0; c < train.channels(); ++c)
    data.normalisation.push_back({train.normalisation.mean_of(c), train.normalisation.stddev_of(c)});
  return data;
}

std::shared_ptr<const data::DataPair> load_as_trained(const config::RunOptions& options,
                                                      const results::ModelFile& file, DataSets& sets,
                                                      std::vector<Violation>& violations) {
  if (!file.data) return sets.load(options.data, violations);
  auto wanted = options.data;
  const auto trained = moments_of(*file.data);
  take("data.mean", trained.mean, options.load_model, wanted.mean, violations);
  take("data.std", trained.stddev, options.load_model, wanted.stddev, violations);
  const bool has_classes = !wanted.classes && file.data->classes >= data::least_classes;
  if (has_classes) wanted.classes = file.data->classes;
  const auto first = violations.size();
  auto data = sets.load(wanted, violations);
  blame_normalisation(options, *file.data, first, violations);
  if (!data && has_classes) blame_classes(options, *file.data, sets, first, violations);
  return data;
}

void tell_of_model(const Job& job, const data::Dataset& used) {
  if (job.world.rank() == 0)
    for (const auto& note : notes_on(*job.input.start, job.input.options, used))
      job.messages << note << std::endl;
}

}  // namespace partita::job
