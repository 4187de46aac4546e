/// First come operations in which ranks of a group differ; if there are none, ranks that others wait for and
/// that do not wait themselves; if all wait, the circle.
#include "verdict.hpp"

#include <algorithm>
#include <set>

namespace partita::comm {
namespace {

using collective::Operation;

std::string name_of(const Shown& o) {
  switch (o.operation) {
    case Shown::release:
      return "release of shared memory";
    case Shown::leave:
      return "end of the program";
    case Shown::condition:
      return "a condition of the program";
    default:
      return std::string(to_string(static_cast<Operation>(o.operation)));
  }
}

/// "all_reduce #17 on data", "receive #3 from rank 1 on pipeline".
std::string short_name(const Shown& o) {
  if (o.operation >= Shown::release) return name_of(o);
  std::string text = name_of(o) + " #" + std::to_string(o.number);
  if (o.is_message())
    text += (o.operation == static_cast<std::uint8_t>(Operation::send) ? " to rank " : " from rank ") +
            std::to_string(o.peer);
  return text + " on " + std::string(to_string(static_cast<topology::Axis>(o.axis)));
}

/// With purpose and count: "all_reduce #17 on data (gradient, 100 elements, plan 3)".
std::string long_name(const Shown& o) {
  if (o.operation >= Shown::release) return name_of(o);
  std::string text =
      short_name(o) + " (" + std::string(to_string(static_cast<collective::Purpose>(o.purpose)));
  if (o.elements >= 0) text += ", " + std::to_string(o.elements) + " elements";
  if (o.plan > 0 || o.is_message()) text += (o.is_message() ? ", tag " : ", plan ") + std::to_string(o.plan);
  return text + ")";
}

std::string list_of(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank" : "ranks";
  for (const int r : ranks)
    text += " " + std::to_string(r);
  return text;
}

Shown waiting_of(const Seen& seen) { return std::bit_cast<Shown>(seen.block.waiting); }
bool waits(const Seen& seen) { return seen.answers && seen.block.waits != 0; }
bool has_left(const Seen& seen) {
  return seen.answers &&
         (seen.block.state == Block::ended || seen.process_state == '-' || seen.process_state == 'Z');
}
/// Waits for other ranks, rather than doing or having done something that others wait for.
bool is_held(const Seen& seen) {
  return waits(seen) && !has_left(seen) && seen.process_state != 'T' &&
         waiting_of(seen).operation < Shown::release;
}

/// Newest first.
std::vector<Shown> recent_of(const Block& block) {
  std::vector<Shown> recent;
  const auto count = std::min<std::uint64_t>(block.started, Block::remembered);
  for (std::uint64_t i = 1; i <= count; ++i)
    recent.push_back(std::bit_cast<Shown>(block.recent[(block.started - i) % Block::remembered]));
  return recent;
}

std::string activity_of(const Block& block) {
  static constexpr const char* names[] = {"planning", "training", "evaluating", "writing a checkpoint",
                                          "gathering the record"};
  return block.activity < std::size(names) ? names[block.activity] : "busy";
}

/// "in `backward conv2`", "planning".
std::string place_of(const Seen& seen, const NameInstruction& name) {
  std::string text;
  if (seen.block.instruction != 0 && name) text = name(seen.block.instruction);
  return text.empty() ? activity_of(seen.block) : text + " (" + activity_of(seen.block) + ")";
}

/// What keeps a rank that others wait for.
std::string excuse(const Seen& seen, const NameInstruction& name) {
  if (!seen.answers) return "it does not answer (busy outside communication or gone)";
  if (seen.process_state == '-' || seen.process_state == 'Z') return "its process is gone";
  if (seen.block.state == Block::ended) return "it has ended";
  if (seen.process_state == 'T') return "its process is stopped, " + place_of(seen, name);
  if (waits(seen)) {
    const Shown o = waiting_of(seen);
    if (o.operation == Shown::release) return "it has gone on to the release of shared memory";
    return "it waits in " + short_name(o);
  }
  return "it is " + place_of(seen, name);
}

class Judge {
 public:
  Judge(const std::vector<Seen>& ranks, const NameInstruction& name) : ranks_(ranks), name_(name) {}

  std::vector<std::string> judge() {
    for (const auto& seen : ranks_)
      if (waits(seen)) {
        const Shown o = waiting_of(seen);
        if (o.operation == Shown::condition) continue;
        o.is_message() ? judge_message(seen, o) : judge_collective(seen, o);
      }
    if (!differences_.empty()) return differences_;
    if (!roots_.empty()) return roots_;
    if (circle_.empty()) return of_those_that_stand_still();
    std::string text = "ranks wait for each other:";
    for (const auto& one : circle_)
      text += (text.back() == ':' ? " " : "; ") + one;
    return {text};
  }

 private:
  /// A message may not go on though both of its ranks have begun it.
  std::vector<std::string> of_those_that_stand_still() {
    for (const auto& seen : ranks_)
      if (seen.process_state == 'T' || seen.process_state == 'Z' || seen.process_state == '-')
        add(roots_, "rank " + std::to_string(seen.rank) + " stands still: " + excuse(seen, name_));
    if (roots_.empty()) return {"no cause was seen: every rank that is waited for has come"};
    return roots_;
  }
  void difference(const std::string& text) { add(differences_, text); }
  static void add(std::vector<std::string>& to, const std::string& text) {
    if (std::find(to.begin(), to.end(), text) == to.end()) to.push_back(text);
  }
  /// Where another rank has the communicator of an operation; -1: nowhere.
  static int group_of(const Seen& other, const Seen& mine, const Shown& o) {
    if (!other.answers) return -1;
    const auto key = mine.block.group[o.group] >> 32;
    const auto found = std::find_if(other.block.group.begin(), other.block.group.end(),
                                    [&](std::uint64_t g) { return g >> 32 == key && g != 0; });
    return found == other.block.group.end() ? -1 : static_cast<int>(found - other.block.group.begin());
  }

  void missing(const Seen& who, const std::string& what) {
    const std::string text = "rank " + std::to_string(who.rank) + " has not " + what;
    if (is_held(who))
      add(circle_, text + ": " + excuse(who, name_));
    else
      add(roots_, text + ": " + excuse(who, name_));
  }

  void judge_collective(const Seen& me, const Shown& o) {
    if (!judged_.insert({me.block.group[o.group] >> 32, o.number}).second) return;
    std::vector<int> here, differing;
    std::vector<const Seen*> late;
    const Shown* theirs = nullptr;
    std::vector<Shown> kept(ranks_.size());
    for (const auto& other : ranks_) {
      if (!other.answers) {
        late.push_back(&other);
        continue;
      }
      const int group = group_of(other, me, o);
      if (group < 0) continue;
      if ((other.block.group[static_cast<std::size_t>(group)] & 0xFFFFFFFFU) < o.number) {
        late.push_back(&other);
        continue;
      }
      auto& at = kept[static_cast<std::size_t>(other.rank)] = o;
      for (const auto& past : recent_of(other.block))
        if (!past.is_message() && past.group == group && past.number == o.number) {
          at = past;
          break;
        }
      if (same(at, o)) {
        here.push_back(other.rank);
      } else {
        differing.push_back(other.rank);
        if (!theirs) theirs = &at;
      }
    }
    if (theirs) return disagree(here, o, differing, *theirs);
    for (const auto* who : late)
      missing(*who, "reached " + short_name(o) + ", where " + list_of(here) + " wait" +
                        (here.size() == 1 ? "s" : ""));
  }

  static bool same(const Shown& a, const Shown& b) {
    const bool counts = a.operation == static_cast<std::uint8_t>(Operation::gather) ||
                        a.operation == static_cast<std::uint8_t>(Operation::all_to_all);
    return a.operation == b.operation && a.plan == b.plan && a.purpose == b.purpose &&
           (counts || a.elements == b.elements);
  }

  void disagree(const std::vector<int>& here, const Shown& o, const std::vector<int>& there,
                const Shown& theirs) {
    if (o.operation == theirs.operation && o.elements != theirs.elements)
      return difference("counts differ: " + list_of(here) + " in " + long_name(o) + ", " + list_of(there) +
                        " in " + long_name(theirs));
    difference(list_of(here) + " and " + list_of(there) + " disagree: " + long_name(o) + " vs " +
               long_name(theirs));
  }

  void judge_message(const Seen& me, const Shown& o) {
    if (o.peer < 0 || o.peer >= static_cast<int>(ranks_.size())) return;
    const Seen& peer = ranks_[static_cast<std::size_t>(o.peer)];
    const bool receives = o.operation == static_cast<std::uint8_t>(Operation::receive);
    if (const int group = group_of(peer, me, o); group >= 0)
      for (const auto& past : recent_of(peer.block)) {
        if (!past.is_message() || past.operation == o.operation || past.group != group ||
            past.plan != o.plan || past.peer != me.rank || past.number != o.number)
          continue;
        if (past.elements == o.elements) return;  // it has come
        const Shown& sent = receives ? past : o;
        const Shown& wanted = receives ? o : past;
        return difference("counts differ: rank " + std::to_string(receives ? o.peer : me.rank) + " sends " +
                          std::to_string(sent.elements) + " elements, rank " +
                          std::to_string(receives ? me.rank : o.peer) + " expects " +
                          std::to_string(wanted.elements) + " in " + short_name(wanted));
      }
    missing(peer, std::string(receives ? "sent" : "received") + " what rank " + std::to_string(me.rank) +
                      " waits for in " + short_name(o));
  }

  const std::vector<Seen>& ranks_;
  const NameInstruction& name_;
  std::set<std::pair<std::uint64_t, std::uint32_t>> judged_;
  std::vector<std::string> differences_, roots_, circle_;
};

}  // namespace

std::string describe(const Seen& seen, const NameInstruction& name) {
  if (!seen.answers || has_left(seen)) return excuse(seen, name).substr(3);
  std::string text = place_of(seen, name);
  if (seen.process_state == 'T') text = "stopped, " + text;
  if (waits(seen)) return "waits in " + long_name(waiting_of(seen)) + ", " + text;
  const auto recent = recent_of(seen.block);
  return text + (recent.empty() ? ", no operation yet" : ", last started " + long_name(recent.front()));
}

std::vector<std::string> verdicts(const std::vector<Seen>& by_rank, const NameInstruction& name) {
  return Judge(by_rank, name).judge();
}

}  // namespace partita::comm
