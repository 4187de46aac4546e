/// The schema of what ranks exchange: `/traffic`, `/peers`, `/reductions`.
#pragma once

#include "archive.hpp"

namespace partita::results {

template <class Archive, class T>
void exchange_traffic(Archive& root, T& traffic) {
  exchange_table(root, "traffic", "row", true, traffic, [](auto field) {
    field(
        "rank", "1", [](auto& r) -> auto& { return r.rank; });
    field(
        "activity", "", [](auto& r) -> auto& { return r.key.activity; });
    field(
        "axis", "", [](auto& r) -> auto& { return r.key.axis; });
    field(
        "operation", "", [](auto& r) -> auto& { return r.key.operation; });
    field(
        "purpose", "", [](auto& r) -> auto& { return r.key.purpose; });
    field(
        "calls", "1", [](auto& r) -> auto& { return r.counts.calls; });
    field(
        "messages", "1", [](auto& r) -> auto& { return r.counts.messages; });
    field(
        "payload_bytes", "byte", [](auto& r) -> auto& { return r.counts.payload_bytes; });
    field(
        "wire_bytes", "byte", [](auto& r) -> auto& { return r.counts.wire_bytes; });
    field(
        "wire_bytes_received", "byte", [](auto& r) -> auto& { return r.counts.wire_bytes_received; });
    field(
        "window_bytes_read", "byte", [](auto& r) -> auto& { return r.counts.window_bytes_read; });
    field(
        "window_bytes_written", "byte", [](auto& r) -> auto& { return r.counts.window_bytes_written; });
    field(
        "modelled_wire_bytes", "byte", [](auto& r) -> auto& { return r.counts.modelled_wire_bytes; });
    field(
        "staged_bytes", "byte", [](auto& r) -> auto& { return r.counts.staged_bytes; });
    field(
        "exposed_seconds", "s", [](auto& r) -> auto& { return r.counts.exposed_seconds; });
    field(
        "hidden_seconds", "s", [](auto& r) -> auto& { return r.counts.hidden_seconds; });
  });
}

/// Files of version 0.1.0 may lack it; ranks that exchanged nothing with others have no rows.
template <class Archive, class T>
void exchange_peers(Archive& root, T& peers) {
  exchange_table(root, "peers", "row", true, peers, [](auto field) {
    field(
        "rank", "1", [](auto& r) -> auto& { return r.rank; });
    field(
        "peer", "1", [](auto& r) -> auto& { return r.counts.peer; });
    field(
        "activity", "", [](auto& r) -> auto& { return r.activity; });
    field(
        "axis", "", [](auto& r) -> auto& { return r.axis; });
    field(
        "wire_bytes", "byte", [](auto& r) -> auto& { return r.counts.wire_bytes; });
    field(
        "wire_bytes_received", "byte", [](auto& r) -> auto& { return r.counts.wire_bytes_received; });
    field(
        "window_bytes_read", "byte", [](auto& r) -> auto& { return r.counts.window_bytes_read; });
    field(
        "window_bytes_written", "byte", [](auto& r) -> auto& { return r.counts.window_bytes_written; });
  });
}

template <class Archive, class T>
void exchange_reductions(Archive& root, T& reductions) {
  exchange_table(root, "reductions", "reduction", true, reductions, [](auto field) {
    field(
        "purpose", "", [](auto& r) -> auto& { return r.purpose; });
    field(
        "payload_bytes", "byte", [](auto& r) -> auto& { return r.payload; });
    field(
        "algorithm", "", [](auto& r) -> auto& { return r.algorithm; });
    field(
        "in_window", "1", [](auto& r) -> auto& { return r.in_window; });
  });
}

}  // namespace partita::results
