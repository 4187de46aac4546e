/// Two ranks exchange planned messages, as a pipeline does; one leads and says each size.
#include "partita/calibrate/messages.hpp"

#include <algorithm>
#include <cmath>

#include "partita/calibrate/draws.hpp"
#include "partita/calibrate/segments.hpp"
#include "partita/memory/arena.hpp"
#include "partita/results/statistics.hpp"

namespace partita::calibrate {
namespace {

using collective::Purpose;
using kernels::DataType;
using kernels::Elements;
using kernels::View;

enum Tag { data_tag, answer_tag, size_tag, ready_tag, go_tag };

constexpr int handshakes = 7;
/// So long a send may be under way before it counts as one that waits for its receive.
constexpr double eager_seconds = 500e-6;

/// One of the two ranks, with the messages that steer the other.
class Partner {
 public:
  Partner(comm::Communicator& world, int other, bool leads, const MessageOptions& options)
      : world_(world),
        other_(other),
        leads_(leads),
        out_(kernels::Bytes(options.most_bytes)),
        in_(kernels::Bytes(options.most_bytes)),
        size_(leads_ ? send(word_of(size_word_), size_tag) : receive(word_of(size_word_), size_tag)),
        ready_(leads_ ? receive(word_of(token_), ready_tag) : send(word_of(token_), ready_tag)),
        go_(leads_ ? send(word_of(go_word_), go_tag) : receive(word_of(go_word_), go_tag)) {
    std::fill(out_.bytes().begin(), out_.bytes().end(), std::byte{1});  // pages exist before the clock runs
    std::fill(in_.bytes().begin(), in_.bytes().end(), std::byte{2});
  }

  /// The leader says a size; 0 ends it. The same on both.
  std::int64_t agree(std::int64_t bytes = 0) {
    size_word_ = bytes;
    run(*size_);
    return size_word_;
  }

  MessageSample measure(std::int64_t bytes) {
    MessageSample sample{.bytes = bytes};
    const View out(out_.bytes().data(), DataType::uint8, Elements(bytes));
    const View in(in_.bytes().data(), DataType::uint8, Elements(bytes));
    const auto forth = leads_ ? send(out, data_tag) : receive(in, data_tag);
    const auto back = leads_ ? receive(in, answer_tag) : send(out, answer_tag);
    shake_hands(*forth, sample);
    play(*forth, *back, sample);
    return sample;
  }

 private:
  static View word_of(std::int64_t& word) { return View(std::span(&word, 1)); }
  std::unique_ptr<comm::Collective> send(View view, int tag) {
    return world_.plan_send(comm::Buffer{view}, other_, tag, Purpose::control);
  }
  std::unique_ptr<comm::Collective> receive(View view, int tag) {
    return world_.plan_receive(comm::Buffer{view}, other_, tag, Purpose::control);
  }
  static void run(comm::Collective& message) {
    message.start();
    message.wait();
  }

  /// The receiver does not post before the sender has said so: whether a message leaves earlier shows what
  /// protocol it is sent by, and what the receiver then takes is its own part.
  void shake_hands(comm::Collective& forth, MessageSample& sample) {
    std::vector<double> sends, receives;
    int left = 0;
    for (int i = 0; i < handshakes; ++i) {
      run(*ready_);
      if (leads_) {
        const double begin = base::now_seconds();
        forth.start();
        const double called = base::now_seconds();
        bool complete = forth.test();
        while (!complete && base::now_seconds() - called < eager_seconds)
          complete = forth.test();
        sends.push_back(called - begin);
        left += complete ? 1 : 0;
        run(*go_);
        forth.wait();
      } else {
        run(*go_);
        const double begin = base::now_seconds();
        run(forth);
        receives.push_back(base::now_seconds() - begin);
      }
    }
    double seconds = results::percentile(leads_ ? sends : receives, quick_share);
    exchange(seconds, sample);
    sample.eager = 2 * left > handshakes;
  }

  /// The leader gets what the other measured.
  void exchange(double seconds, MessageSample& sample) {
    if (leads_) sample.send_seconds = seconds;
    const View word(std::span(&seconds, 1));
    run(*(leads_ ? receive(word, answer_tag) : send(word, answer_tag)));
    if (leads_) sample.receive_seconds = seconds;
  }

  /// Back and forth; the next receive is posted before a message leaves.
  void play(comm::Collective& forth, comm::Collective& back, MessageSample& sample) {
    std::vector<double> trips;
    const int repetitions = static_cast<int>(
        std::clamp(std::int64_t{64 << 20} / sample.bytes, std::int64_t{9}, std::int64_t{300}));
    if (!leads_) forth.start();
    for (int i = -1; i < repetitions; ++i) {
      if (leads_) {
        back.start();
        const double begin = base::now_seconds();
        run(forth);
        back.wait();
        if (i >= 0) trips.push_back(base::now_seconds() - begin);
      } else {
        forth.wait();
        if (i + 1 < repetitions) forth.start();
        run(back);
      }
    }
    if (leads_) sample.one_way_seconds = results::percentile(trips, quick_share) / 2;
  }

  comm::Communicator& world_;
  int other_;
  bool leads_;
  memory::HostBuffer out_, in_;
  std::int64_t size_word_ = 0, token_ = 0, go_word_ = 0;
  std::unique_ptr<comm::Collective> size_, ready_, go_;
};

std::vector<std::int64_t> drawn_sizes(const MessageOptions& options) {
  Draws draws(options.seed, 0);
  std::vector<std::int64_t> sizes;
  for (int i = 0; i < options.sizes; ++i)
    sizes.push_back(draws.log_uniform(1, options.most_bytes));
  return sizes;
}

/// Where messages cease to leave at once: the cut that fewest samples contradict.
std::size_t first_rendezvous(const std::vector<MessageSample>& sorted) {
  std::size_t best = 0;
  std::ptrdiff_t wrong = std::count_if(sorted.begin(), sorted.end(), [](const auto& s) { return s.eager; });
  std::ptrdiff_t least = wrong;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    wrong += sorted[i].eager ? -1 : 1;
    if (wrong < least) least = wrong, best = i + 1;
  }
  return best;
}

void sort_by_size(std::vector<MessageSample>& samples) {
  std::sort(samples.begin(), samples.end(), [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
}

/// Sizes within 1 % of each other bracket the change of protocol.
void find_rendezvous(std::vector<MessageSample>& samples,
                     const std::function<MessageSample(std::int64_t)>& measure) {
  for (int i = 0; i < 12; ++i) {
    sort_by_size(samples);
    const auto at = first_rendezvous(samples);
    if (at == 0 || at == samples.size()) return;
    const auto below = samples[at - 1].bytes, above = samples[at].bytes;
    if (above - below <= std::max<std::int64_t>(1, below / 100)) return;
    samples.push_back(measure((below + above) / 2));
  }
}

}  // namespace

std::vector<MessageSample> measure_messages(comm::Communicator& world, int a, int b,
                                            const MessageOptions& options) {
  std::vector<MessageSample> samples;
  if (world.rank() == a) {
    Partner partner(world, b, true, options);
    const auto measure = [&](std::int64_t bytes) { return partner.measure(partner.agree(bytes)); };
    const Budget budget(options.seconds);
    for (const auto bytes : drawn_sizes(options)) {
      if (samples.size() >= 8 && budget.share_spent() > 1) break;
      samples.push_back(measure(bytes));
    }
    find_rendezvous(samples, measure);
    sort_by_size(samples);
    partner.agree(0);
  } else if (world.rank() == b) {
    Partner partner(world, a, false, options);
    while (const auto bytes = partner.agree())
      partner.measure(bytes);
  }
  gather_asleep(world);
  return samples;
}

namespace {

constexpr double least_seconds = 1e-9;  ///< of what a clock sees

/// At most `whole`, base and slope.
Line within(const Line& part, const Line& whole) {
  return {std::min(part.base, whole.base), std::min(part.slope, whole.slope)};
}
Line operator-(const Line& whole, const Line& part) {
  return {whole.base - part.base, whole.slope - part.slope};
}

Line line_of(std::span<const MessageSample> samples, double MessageSample::*seconds, double less) {
  std::vector<Point> points;
  for (const auto& s : samples)
    points.push_back({static_cast<double>(s.bytes), std::max(s.*seconds - less, least_seconds)});
  return fit_line(points);
}

/// The whole way is what a run sees; what its ends take of it is told apart as far as it fits in. A receive
/// that was posted late may have taken longer: its message was kept, and copied once more.
machine::Protocol protocol_of(std::span<const MessageSample> samples, const machine::Overheads& overheads,
                              std::int64_t from, bool rendezvous) {
  const double start = overheads.start_seconds, both = start + overheads.wait_seconds;
  const auto whole = line_of(samples, &MessageSample::one_way_seconds, both);
  const auto send = within(line_of(samples, &MessageSample::send_seconds, start), whole);
  const auto receive =
      rendezvous ? Line{} : within(line_of(samples, &MessageSample::receive_seconds, both), whole - send);
  const auto way = whole - send - receive;
  return {.min_bytes = kernels::Bytes(from),
          .send_seconds = send.base,
          .send_byte_seconds = send.slope,
          .latency_seconds = way.base,
          .byte_seconds = way.slope,
          .receive_seconds = receive.base,
          .receive_byte_seconds = receive.slope,
          .rendezvous = rendezvous};
}

/// Those of one way to send, from `from` bytes on.
void append_protocols(std::vector<machine::Protocol>& protocols, std::span<const MessageSample> samples,
                      const machine::Overheads& overheads, std::int64_t from, bool rendezvous) {
  std::vector<Point> ways;
  for (const auto& s : samples)
    ways.push_back({static_cast<double>(s.bytes), s.one_way_seconds});
  const auto segments = find_segments(ways, 4);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto begins = [&](std::size_t segment) {
      return std::partition_point(samples.begin(), samples.end(), [&](const auto& s) {
        return static_cast<double>(s.bytes) < segments[segment].min_bytes;
      });
    };
    const auto first = begins(i), end = i + 1 < segments.size() ? begins(i + 1) : samples.end();
    const auto begin = i == 0 ? from : static_cast<std::int64_t>(segments[i].min_bytes);
    protocols.push_back(protocol_of({first, end}, overheads, begin, rendezvous));
  }
}

}  // namespace

std::vector<machine::Protocol> protocols_of(const std::vector<MessageSample>& sorted,
                                            const machine::Overheads& overheads) {
  const auto change = first_rendezvous(sorted);
  const std::span all(sorted);
  std::vector<machine::Protocol> protocols;
  if (change > 0) append_protocols(protocols, all.first(change), overheads, 0, false);
  if (change < all.size())
    append_protocols(protocols, all.subspan(change), overheads, change > 0 ? sorted[change].bytes : 0, true);
  return protocols;
}

}  // namespace partita::calibrate
