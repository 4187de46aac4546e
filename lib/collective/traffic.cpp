/// The words for activities, operations and purposes in results, and sums of counts: once a modelled figure
/// is unknown, so is every sum that contains it.
#include "partita/collective/traffic.hpp"

namespace partita::collective {

std::string_view to_string(Operation operation) {
  switch (operation) {
    case Operation::send:
      return "send";
    case Operation::receive:
      return "receive";
    case Operation::all_reduce:
      return "all_reduce";
    case Operation::reduce_scatter:
      return "reduce_scatter";
    case Operation::all_gather:
      return "all_gather";
    case Operation::all_to_all:
      return "all_to_all";
    case Operation::broadcast:
      return "broadcast";
    case Operation::gather:
      return "gather";
    case Operation::barrier:
      return "barrier";
  }
  return "unknown";
}

std::string_view to_string(Activity activity) {
  switch (activity) {
    case Activity::setup:
      return "setup";
    case Activity::train:
      return "train";
    case Activity::evaluate:
      return "evaluate";
    case Activity::checkpoint:
      return "checkpoint";
    case Activity::record:
      return "record";
  }
  return "unknown";
}

std::string_view to_string(Purpose purpose) {
  switch (purpose) {
    case Purpose::activation:
      return "activation";
    case Purpose::activation_gradient:
      return "activation_gradient";
    case Purpose::gradient:
      return "gradient";
    case Purpose::parameter:
      return "parameter";
    case Purpose::metric:
      return "metric";
    case Purpose::halo:
      return "halo";
    case Purpose::statistics:
      return "statistics";
    case Purpose::norm:
      return "norm";
    case Purpose::control:
      return "control";
  }
  return "unknown";
}

TrafficCounts& TrafficCounts::operator+=(const TrafficCounts& other) {
  calls += other.calls;
  messages += other.messages;
  payload_bytes += other.payload_bytes;
  wire_bytes += other.wire_bytes;
  wire_bytes_received += other.wire_bytes_received;
  window_bytes_read += other.window_bytes_read;
  window_bytes_written += other.window_bytes_written;
  if (modelled_wire_bytes && other.modelled_wire_bytes)
    *modelled_wire_bytes += *other.modelled_wire_bytes;
  else
    modelled_wire_bytes.reset();
  staged_bytes += other.staged_bytes;
  exposed_seconds += other.exposed_seconds;
  hidden_seconds += other.hidden_seconds;
  return *this;
}

TrafficCounts& TrafficCounts::operator*=(std::int64_t times) {
  calls *= times;
  messages *= times;
  for (Bytes* bytes : {&payload_bytes, &wire_bytes, &wire_bytes_received, &window_bytes_read,
                       &window_bytes_written, &staged_bytes})
    *bytes = *bytes * times;
  if (modelled_wire_bytes) *modelled_wire_bytes = *modelled_wire_bytes * times;
  exposed_seconds *= static_cast<double>(times);
  hidden_seconds *= static_cast<double>(times);
  return *this;
}

PeerCounts& PeerCounts::operator+=(const PeerCounts& other) {
  wire_bytes += other.wire_bytes;
  wire_bytes_received += other.wire_bytes_received;
  window_bytes_read += other.window_bytes_read;
  window_bytes_written += other.window_bytes_written;
  return *this;
}

}  // namespace partita::collective
