/// Groups of result files as a user names them: "fast=a.h5,b.h5", "fast=runs/fast-*.h5", or one file.
#pragma once

#include <string>
#include <vector>

#include "partita/base/error.hpp"

namespace partita::compare {

struct GroupArgument {
  std::string name;
  std::vector<std::string> files;
};

/// A text that names an existing file is that file. In any other, what stands before the first "=" names the
/// group and the rest lists its files, parted by commas: a file that exists, or a pattern (`*`, `?`, `[…]`)
/// for all that match, in natural order. A backslash takes from the next character what it means here.
GroupArgument group_of(const std::string& text, std::vector<base::Violation>& violations);

/// Files are shown by their stems where these tell them apart.
void shorten_names(std::vector<GroupArgument>& groups);

}  // namespace partita::compare
