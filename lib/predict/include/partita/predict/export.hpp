/// Predictions for other simulators: one step of all ranks, or the machine alone, in their formats.
/// docs/predict.md says what each of them leaves out.
///
///   goal      LogGOPSim's text (Hoefler, Schneider, Lumsdaine 2010, doi:10.1145/1851476.1851564)
///   smpi      time-independent traces of SimGrid 3.32's smpirun -replay, and the hosts of its processes
///   chakra    execution traces of MLCommons Chakra in the JSON form that its feeder reads
///   platform  SimGrid's description of the machine (XML, version 4.1)
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "partita/predict/schedule.hpp"

namespace partita::predict {

enum class Format { goal, smpi, chakra, platform };

/// The words of all formats.
std::vector<std::string_view> format_words();
std::optional<Format> format_of(std::string_view word);
/// Whether it is a folder of files.
bool is_folder(Format);
/// Above so many ranks the files would be of no use to anybody.
int most_ranks(Format);
/// Whether a file of such a name may stand in the format's folder.
bool has_file(Format, std::string_view name);

/// Texts by file name; of a format of one file that name is empty. SMPI's processes compute at the speed that
/// the platform of the same machine gives to its hosts.
using Texts = std::map<std::string, std::string>;
Texts texts_of(Format, const Schedule&, const machine::Machine&);

/// The machine as `ranks` ranks see it, each a host of its own.
std::string platform_of(const machine::Machine&, int ranks);

}  // namespace partita::predict
