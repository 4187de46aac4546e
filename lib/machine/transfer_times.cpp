/// Stretches the core's part.
#include "partita/machine/transfer_times.hpp"

namespace partita::machine {

/// Until a rank has its core back from all others.
Picoseconds TransferTimes::turn() const {
  return picoseconds((crowding_ - 1) * machine_.cores.yield_seconds);
}

MessageTime TransferTimes::message(int from, int to, kernels::Bytes bytes) const {
  return message_on(machine_.levels.empty() ? 0 : machine_.level_between(from, to), bytes);
}

/// Within a node cores move the bytes.
MessageTime TransferTimes::message_on(std::size_t level, kernels::Bytes bytes) const {
  auto time = machine_.message_on(level, bytes);
  time.send = of_core(time.send);
  time.receive = of_core(time.receive);
  time.latency += turn();
  if (level == 0) time.bytes = of_core(time.bytes);
  return time;
}

WindowTime TransferTimes::window(kernels::Bytes staged, kernels::Bytes loaded, kernels::Bytes stored,
                                 int part) const {
  auto time = machine_.window(staged, loaded, stored, part);
  time.stage = of_core(time.stage);
  time.flag += turn();
  time.access = of_core(time.access);
  return time;
}

Picoseconds TransferTimes::combine(kernels::Bytes bytes, int part) const {
  return of_core(machine_.combine(bytes, part));
}

}  // namespace partita::machine
