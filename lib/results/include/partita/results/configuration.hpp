/// The configuration that a result carries as INI text, key by key.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "partita/base/key_role.hpp"
#include "partita/results/record.hpp"

namespace partita::results {

/// A key's value, without the quotes of an INI file, and whether the run used it: not beside other keys that
/// leave it without effect. Earlier versions did not say so.
struct Setting {
  std::string value;
  bool is_used = true;
};
using Configuration = std::map<std::string, Setting>;

/// By "section.key"; the layer lines of a model by "model.layer 1", "model.layer 2", …
Configuration configuration_of(const RunRecord&);

/// Something in which two runs differ that can change their results or times.
struct Difference {
  std::string key;            ///< "train.momentum"; "dataset_hash", "load_model_hash", … for contents
  std::string before, after;  ///< "-" where the key is not set
  base::KeyRole role = base::KeyRole::choice;
  friend bool operator==(const Difference&, const Difference&) = default;
};

/// Keys in which two runs were configured differently, by name. Where a key only names something (data set,
/// model, table of algorithms) or decides it (the batch), its content is compared: content that differs
/// stands before the keys that name it, and if it is the same no path or name makes a difference. Files from
/// before a hash was stored are compared by their keys. What repetitions may differ in is left out, and what
/// neither run uses. Without `role_of` every key counts as it is.
std::vector<Difference> configuration_differences(const RunRecord& before, const RunRecord& after,
                                                  base::RoleOf role_of);

}  // namespace partita::results
