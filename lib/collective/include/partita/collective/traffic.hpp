/// The vocabulary of communication accounting: one row per rank × activity × axis × operation × purpose.
///
/// The columns are never mixed. Bytes are exact unless a column says "modelled".
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

#include "partita/kernels/count.hpp"
#include "partita/topology/grid.hpp"

namespace partita::collective {

using kernels::Bytes;

enum class Operation {
  send,
  receive,
  all_reduce,
  reduce_scatter,
  all_gather,
  all_to_all,
  broadcast,
  gather,
  barrier
};

/// What part of a program's life the bytes belong to.
enum class Activity { setup, train, evaluate, checkpoint, record };

/// What the bytes mean; `gradient` is that of parameters, `statistics` are sums inside a layer's pass.
enum class Purpose {
  activation,
  activation_gradient,
  gradient,
  parameter,
  metric,
  halo,
  statistics,
  norm,
  control
};

std::string_view to_string(Operation);
std::string_view to_string(Activity);
std::string_view to_string(Purpose);

struct TrafficKey {
  Activity activity = Activity::setup;
  topology::Axis axis = topology::Axis::world;
  Operation operation = Operation::send;
  Purpose purpose = Purpose::control;
  friend auto operator<=>(const TrafficKey&, const TrafficKey&) = default;
};

/// What one rank did under one key.
struct TrafficCounts {
  std::int64_t calls = 0;        ///< operations that the program asked for
  std::int64_t messages = 0;     ///< MPI point-to-point sends made for them
  Bytes payload_bytes{};         ///< what the program asked to have moved or reduced
  Bytes wire_bytes{};            ///< passed to MPI point-to-point sends
  Bytes wire_bytes_received{};   ///< got from MPI point-to-point receives
  Bytes window_bytes_read{};     ///< loaded from other ranks' window segments or device buffers
  Bytes window_bytes_written{};  ///< stored into them
  /// For vendor collectives: from a formula; none where nobody knows what the MPI library sends.
  std::optional<Bytes> modelled_wire_bytes = Bytes(0);
  Bytes staged_bytes{};        ///< host↔device copies made for communication
  double exposed_seconds = 0;  ///< this rank's core was taken: to start, to move on between kernels, to wait
  double hidden_seconds = 0;   ///< alone-duration − exposed, at least 0

  /// What is added to an unknown number is unknown too.
  TrafficCounts& operator+=(const TrafficCounts&);
  /// Of so many runs that are alike.
  TrafficCounts& operator*=(std::int64_t times);
};

/// What one rank exchanged with one peer, itself included: the four columns of `TrafficCounts` that have a
/// peer.
struct PeerCounts {
  int peer = 0;
  Bytes wire_bytes{}, wire_bytes_received{}, window_bytes_read{}, window_bytes_written{};

  PeerCounts& operator+=(const PeerCounts&);  ///< the bytes; the peer stays
  friend bool operator==(const PeerCounts&, const PeerCounts&) = default;
};

/// A row of `/peers` as one rank reports it. Its rows of one activity and axis add up to those of `/traffic`.
struct PeerRow {
  int rank = 0;
  Activity activity = Activity::setup;
  topology::Axis axis = topology::Axis::world;
  PeerCounts counts;
  friend bool operator==(const PeerRow&, const PeerRow&) = default;
};

/// A row of `/traffic` as one rank reports it.
struct TrafficRow {
  int rank = 0;
  TrafficKey key;
  TrafficCounts counts;
};

}  // namespace partita::collective
