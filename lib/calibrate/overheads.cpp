/// Times transfers of one rank with itself, which have nothing to do.
#include "partita/calibrate/overheads.hpp"

#include <algorithm>

#include "partita/results/statistics.hpp"

namespace partita::calibrate {
namespace {

constexpr int repetitions = 2001;

/// Of calls of `work` one by one, less what the clock takes.
template <class Work>
double median_seconds(const Work& work) {
  std::vector<double> seconds, clocks;
  for (int i = 0; i < repetitions; ++i) {
    const double begin = base::now_seconds();
    work();
    const double end = base::now_seconds();
    seconds.push_back(end - begin);
    clocks.push_back(base::now_seconds() - end);
  }
  return std::max(0.0, results::median(seconds) - results::median(clocks));
}

}  // namespace

machine::Overheads measure_overheads(comm::Communicator& self) {
  float value = 0;
  const kernels::View view(std::span(&value, 1));
  using collective::Purpose;
  const auto nothing =
      self.plan_all_reduce(view, comm::Combine::sum, comm::Algorithm::ring, Purpose::gradient);
  const double both = median_seconds([&] {
    nothing->start();
    nothing->wait();
  });
  const double start_and_test = median_seconds([&] {
    nothing->start();
    nothing->test();
  });
  machine::Overheads overheads{.start_seconds = start_and_test,
                               .wait_seconds = std::max(0.0, both - start_and_test)};
  float sent = 0;
  const auto receive = self.plan_receive(view, 0, 0, Purpose::gradient);
  const auto send = self.plan_send(kernels::View(std::span(&sent, 1)), 0, 0, Purpose::gradient);
  receive->start();
  overheads.poll_seconds = median_seconds([&] { self.progress(); });
  send->start();
  send->wait();
  receive->wait();
  return overheads;
}

}  // namespace partita::calibrate
