/// One line of a model, read as the description of its kind says.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/model/grammar.hpp"

namespace partita::model {

/// One line being read: collects violations under its own key.
class LayerLine {
 public:
  LayerLine(std::size_t index, const std::string& line, std::vector<base::Violation>& violations);

  /// The layer, without shapes; without a name where the line gives none.
  Layer read();
  void refuse(const std::string& message);
  [[nodiscard]] bool good() const { return good_; }

 private:
  const LayerDescription* find_kind();
  void read_argument(const LayerDescription&, Layer&);
  std::map<std::string, std::string> read_options(const LayerDescription&);
  void read_value(const LayerValue&, const std::string& text, Layer&);
  void read_placement(const LayerDescription&, const std::string& value, Layer&);

  std::string key_;
  const std::string& line_;
  std::vector<base::Violation>& violations_;
  std::vector<std::string> words_;
  std::vector<LayerWord> applied_last_;  ///< words that stand for what depends on other values
  bool good_ = true;
};

}  // namespace partita::model
