/// Which word somebody may have meant.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace partita::base {

/// Insertions, deletions and replacements of a character between two words.
std::size_t edit_distance(std::string_view, std::string_view);

/// The candidate with the smallest edit distance to `word`, or nothing when none is similar.
std::string nearest_word(std::string_view word, std::span<const std::string_view> candidates);

/// "; did you mean 'word'?", of the nearest word; nothing when none is similar.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

/// The same of "true" and "false", whatever they are called: "no" means false.
std::string did_you_mean_boolean(std::string_view word);

}  // namespace partita::base
