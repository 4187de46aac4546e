/// A server in asynchronous steps: takes what workers push as it comes, or as a log says, and answers.
#pragma once

#include <functional>
#include <vector>

#include "partita/execute/executor.hpp"
#include "partita/run/training.hpp"
#include "partita/step/turns.hpp"

namespace partita::run {

class Service {
 public:
  /// What a turn is given and leaves.
  struct Hooks {
    /// What an update is given by a push of this step, as the update of this number since the stretch began.
    std::function<kernels::StepValues(std::int64_t step, std::int64_t update)> values;
    /// Where the times of the instructions that serve a worker's push of a step go; null: nowhere.
    std::function<std::vector<execute::InstructionTimes>*(int worker, std::int64_t step)> times;
    /// Each worker has had a turn more since the last time.
    std::function<void(execute::StepSpans)> round_is_over;
  };
  Service(execute::Executor& executor, const step::Program& program, Hooks hooks)
      : executor_(executor), program_(program), hooks_(std::move(hooks)) {}

  /// Steps [first, end) of all workers. `order`: the workers whose pushes are taken, one after the other;
  /// none given: as they come. What was taken.
  std::vector<PushRow> serve(std::int64_t first, std::int64_t end, const std::vector<int>& order);

 private:
  void run(int worker, step::TurnPart part, std::int64_t step, const kernels::StepValues& values = {});
  int await_next(const step::Turns&, const std::vector<int>& order);

  execute::Executor& executor_;
  const step::Program& program_;
  Hooks hooks_;
  execute::StepSpans spans_;
};

}  // namespace partita::run
