/// Lists what a run reads, and takes the claims of what it writes once no path has two roles.
#include "partita/job/files.hpp"

namespace partita::job {

std::vector<results::NamedPath> files_read(const Input& input) {
  const auto& options = input.options;
  std::vector<results::NamedPath> files{
      {"config", options.config_file},          {"model.file", options.model_file},
      {"sync.table", options.sync.table},       {"machine", options.machine},
      {"virtual-clock", options.virtual_clock}, {"load-model", options.load_model},
      {"server.replay", options.server.replay}};
  if (input.data)
    for (const auto& file : input.data->files)
      files.push_back({"data.name", file});
  return files;
}

bool hold(Input& input, const std::vector<results::NamedPath>& all) {
  auto refused = results::check_roles(all);
  if (refused.empty() && input.writes()) {
    input.claims = std::make_shared<results::Claims>();
    refused = input.claims->take(all);
  }
  input.append(refused);
  return refused.empty();
}

}  // namespace partita::job
