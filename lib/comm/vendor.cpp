/// The vendor's all-reduce, started without blocking and polled. Its inside cannot be seen: the ledger gets
/// modelled bytes, or that they are unknown.
#include <algorithm>
#include <limits>
#include <string_view>

#include "booked.hpp"
#include "partita/comm/yardstick.hpp"

namespace partita::comm {
namespace {

/// Sums of whole numbers are those mod 2ⁿ.
MPI_Datatype datatype_of(DataType type, Combine combine) {
  switch (type) {
    case DataType::uint8:
      return MPI_UINT8_T;
    case DataType::int32:
      return combine == Combine::sum ? MPI_UINT32_T : MPI_INT32_T;
    case DataType::int64:
      return combine == Combine::sum ? MPI_UINT64_T : MPI_INT64_T;
    case DataType::float32:
      return MPI_FLOAT;
    case DataType::float64:
      return MPI_DOUBLE;
  }
  return MPI_DATATYPE_NULL;
}

/// Whether the formula is of the library in use: it was counted inside MPICH 4.0.
bool has_model() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  check(MPI_Get_library_version(text, &length), "MPI_Get_library_version");
  return std::string_view(text, static_cast<std::size_t>(length)).starts_with("MPICH Version:\t4.0.");
}

collective::TrafficCounts modelled(const Communicator::State& state, const Description& d) {
  collective::TrafficCounts counts;
  static const bool known = has_model();
  counts.modelled_wire_bytes.reset();
  if (known || state.size == 1)
    counts.modelled_wire_bytes = collective::modelled_vendor_all_reduce(
        state.size, state.rank, d.elements.value(), bytes_of(d.type, Elements(1)));
  return counts;
}

/// MPI counts in `int` before version 4: longer vectors are reduced piece by piece.
struct Piece {
  Piece(const View& buffer, std::int64_t begin)
      : data(static_cast<std::byte*>(buffer.data()) + bytes_of(buffer.type(), Elements(begin)).value()),
        count(static_cast<int>(
            std::min<std::int64_t>(buffer.size().value() - begin, std::numeric_limits<int>::max()))) {}
  std::byte* data;
  int count;
};

class VendorAllReduce final : public BookedCollective {
 public:
  VendorAllReduce(const std::shared_ptr<Communicator::State>& state, Description description,
                  const Buffer& buffer, Combine combine)
      : BookedCollective(state, description, modelled(*state, description), {},
                         Staged::whole(buffer, true, true)),
        buffer_(buffer.view),
        type_(datatype_of(buffer.view.type(), combine)),
        operation_(combine == Combine::max ? MPI_MAX : MPI_SUM) {}
  ~VendorAllReduce() override { lose(); }

 private:
  void begin() override {
    next_ = 0;
    if (!clock()) return;
    const auto& d = description();
    clock()->enter_whole(collective::modelled_vendor_all_reduce(
        state().size, state().rank, d.elements.value(), bytes_of(d.type, Elements(1))));
  }

  /// The next piece.
  void post() {
    const Piece piece(buffer_, next_);
    next_ += piece.count;
    check(MPI_Iallreduce(MPI_IN_PLACE, piece.data, piece.count, type_, operation_, state().communicator.get(),
                         &request_),
          "MPI_Iallreduce");
  }
  bool step() override {
    if (next_ == 0 && !staged_.ready(0)) return false;  // the buffer is on its way from the device
    for (const auto end = buffer_.size().value();;) {
      int complete = 1;
      check(MPI_Test(&request_, &complete, MPI_STATUS_IGNORE), "MPI_Test");
      if (complete == 0) return false;
      if (next_ == end) break;
      post();
    }
    if (clock() && !clock()->is_over()) return false;
    staged_.store(0);
    return true;
  }

  View buffer_;
  MPI_Datatype type_;
  MPI_Op operation_;
  MPI_Request request_ = MPI_REQUEST_NULL;
  std::int64_t next_ = 0;  ///< the first element that is not posted
};

}  // namespace

std::unique_ptr<Collective> make_vendor_all_reduce(const std::shared_ptr<Communicator::State>& state,
                                                   Description description, Buffer buffer, Combine combine) {
  return std::make_unique<VendorAllReduce>(state, description, buffer, combine);
}

void stock_all_reduce(const Communicator& communicator, View buffer, Combine combine) {
  for (std::int64_t next = 0; next < buffer.size().value();) {
    const Piece piece(buffer, next);
    next += piece.count;
    check(MPI_Allreduce(MPI_IN_PLACE, piece.data, piece.count, datatype_of(buffer.type(), combine),
                        combine == Combine::max ? MPI_MAX : MPI_SUM, communicator.state_->communicator.get()),
          "MPI_Allreduce");
  }
}

}  // namespace partita::comm
