/// SimGrid's platform: a host for every rank, and a route for every two.
///
/// A route has its level's latency and the rate of one message, that of the level's largest messages, which
/// no message shares with another (FATPIPE). Where the level has a topology the route also crosses its links,
/// which those that meet on them share.
#include <limits>
#include <map>
#include <sstream>

#include "partita/base/number.hpp"
#include "partita/predict/export.hpp"

namespace partita::predict {
namespace {

/// More than any machine has: what takes no time.
constexpr double unlimited_bytes_per_second = 1e18;
constexpr int cores_of_host = 4096;  // transfers of a rank compute beside its core

class Platform {
 public:
  Platform(const machine::Machine& machine, int ranks) : machine_(machine), ranks_(ranks) {}

  std::string text() && {
    for (int from = 0; from < ranks_; ++from)
      for (int to = 0; to < ranks_; ++to)
        route(from, to);
    std::ostringstream out;
    out << "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
        << "<platform version=\"4.1\">\n<config>\n<prop id=\"network/crosstraffic\" value=\"0\"/>\n"
        << "<prop id=\"smpi/send-is-detached-thresh\" value=\"" << eager_bytes() << "\"/>\n"
        << "<prop id=\"smpi/async-small-thresh\" value=\"" << eager_bytes() << "\"/>\n</config>\n"
        << "<zone id=\"machine\" routing=\"Full\">\n";
    for (int r = 0; r < ranks_; ++r)
      out << "<host id=\"rank-" << r << "\" speed=\"" << base::shortest(machine_.of_rank(r).flops_per_second)
          << "f\" core=\"" << cores_of_host << "\"/>\n";
    out << "<link id=\"self\" bandwidth=\"" << base::shortest(unlimited_bytes_per_second)
        << "Bps\" latency=\"0s\" sharing_policy=\"FATPIPE\"/>\n";
    write_levels(out);
    for (const auto& [link, number] : links_)
      out << "<link id=\"link-" << number << "\" bandwidth=\"" << base::shortest(link.bytes_per_second)
          << "Bps\" latency=\"0s\" sharing_policy=\"SHARED\"/>\n";
    out << routes_.view() << "</zone>\n</platform>\n";
    return std::move(out).str();
  }

 private:
  /// From so many on a message waits for its receiver: SimGrid has one figure for all levels, that of the
  /// innermost level that has one.
  [[nodiscard]] std::int64_t eager_bytes() const {
    for (const auto& level : machine_.levels)
      for (const auto& protocol : level.protocols)
        if (protocol.rendezvous) return protocol.min_bytes.value();
    return std::numeric_limits<std::int32_t>::max();
  }

  void write_levels(std::ostream& out) const {
    const auto level = [&](const std::string& name, double latency_seconds, double byte_seconds) {
      const double rate = byte_seconds > 0 ? 1 / byte_seconds : unlimited_bytes_per_second;
      out << "<link id=\"level-" << name << "\" bandwidth=\"" << base::shortest(rate) << "Bps\" latency=\""
          << base::shortest(latency_seconds) << "s\" sharing_policy=\"FATPIPE\"/>\n";
    };
    if (machine_.levels.empty())
      level("0", machine_.link_latency_seconds, 1 / machine_.link_bytes_per_second);
    for (std::size_t l = 0; l < machine_.levels.size(); ++l) {
      const auto& protocol = machine_.levels[l].protocols.back();
      level(std::to_string(l), protocol.latency_seconds, protocol.byte_seconds);
    }
  }

  void route(int from, int to) {
    routes_ << "<route src=\"rank-" << from << "\" dst=\"rank-" << to << "\" symmetrical=\"NO\">";
    if (from == to) {
      routes_ << "<link_ctn id=\"self\"/></route>\n";
      return;
    }
    routes_ << "<link_ctn id=\"level-" << (machine_.levels.empty() ? 0 : machine_.level_between(from, to))
            << "\"/>";
    for (const auto& link : links_between(machine_, from, to)) {
      const auto number = links_.try_emplace(link, links_.size()).first->second;
      routes_ << "<link_ctn id=\"link-" << number << "\"/>";
    }
    routes_ << "</route>\n";
  }

  const machine::Machine& machine_;
  int ranks_;
  std::ostringstream routes_;
  std::map<machine::Link, std::size_t> links_;
};

}  // namespace

std::string platform_of(const machine::Machine& machine, int ranks) {
  return Platform(machine, ranks).text();
}

}  // namespace partita::predict
