#include "job/files.hpp"

namespace partita::job {

std::vector<results::NamedPath> files_read(const Input& input) {
  const auto& options = input.options;
  std::vector<results::NamedPath> files{{"config", options.config_file},
                                        {"model.file", options.model_file},
                                        {"sync.table", options.sync.table},
                                        {"load-model", options.load_model}};
  if (input.data)
    for (const auto& file : input.data->files)
      files.push_back({"data.name", file});
  return files;
}

void hold(Input& input, const std::vector<results::NamedPath>& all) {
  const auto twofold = results::check_roles(all);
  input.append(twofold);
  if (!twofold.empty() || !input.writes()) return;
  input.claims = std::make_shared<results::Claims>();
  input.append(input.claims->take(all));
}

}  // namespace partita::job
