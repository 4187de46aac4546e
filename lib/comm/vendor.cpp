/// The vendor's all-reduce, started without blocking and polled. Its inside cannot be seen: the ledger gets
/// modelled bytes.
#include "booked.hpp"
#include "partita/comm/yardstick.hpp"

namespace partita::comm {
namespace {

MPI_Datatype datatype_of(DataType type) {
  switch (type) {
    case DataType::uint8:
      return MPI_UINT8_T;
    case DataType::int32:
      return MPI_INT32_T;
    case DataType::int64:
      return MPI_INT64_T;
    case DataType::float32:
      return MPI_FLOAT;
    case DataType::float64:
      return MPI_DOUBLE;
  }
  return MPI_DATATYPE_NULL;
}

collective::TrafficCounts modelled(const Communicator::State& state, const Description& d) {
  collective::TrafficCounts counts;
  counts.modelled_wire_bytes = collective::modelled_vendor_all_reduce(
      state.size, state.rank, d.elements.value(), bytes_of(d.type, Elements(1)));
  return counts;
}

class VendorAllReduce final : public BookedCollective {
 public:
  VendorAllReduce(std::shared_ptr<Communicator::State> state, Description description, const Buffer& buffer,
                  Combine combine)
      : BookedCollective(state, description, modelled(*state, description), {},
                         Staged::whole(buffer, true, true)),
        buffer_(buffer.view),
        operation_(combine == Combine::max ? MPI_MAX : MPI_SUM) {}
  ~VendorAllReduce() override { lose(); }

 private:
  void begin() override { posted_ = false; }

  /// False while the buffer is on its way from the device.
  bool post() {
    if (posted_) return true;
    if (!staged_.ready(0)) return false;
    posted_ = true;
    check(MPI_Iallreduce_c(MPI_IN_PLACE, buffer_.data(), buffer_.size().value(), datatype_of(buffer_.type()),
                           operation_, state().communicator.get(), &request_),
          "MPI_Iallreduce_c");
    return true;
  }
  bool step() override {
    if (!post()) return false;
    int complete = 0;
    check(MPI_Test(&request_, &complete, MPI_STATUS_IGNORE), "MPI_Test");
    if (complete != 0) staged_.store(0);
    return complete != 0;
  }

  View buffer_;
  MPI_Op operation_;
  MPI_Request request_ = MPI_REQUEST_NULL;
  bool posted_ = false;
};

}  // namespace

std::unique_ptr<Collective> make_vendor_all_reduce(std::shared_ptr<Communicator::State> state,
                                                   Description description, Buffer buffer, Combine combine) {
  return std::make_unique<VendorAllReduce>(std::move(state), description, buffer, combine);
}

void stock_all_reduce(const Communicator& communicator, View buffer, Combine combine) {
  check(MPI_Allreduce_c(MPI_IN_PLACE, buffer.data(), buffer.size().value(), datatype_of(buffer.type()),
                        combine == Combine::max ? MPI_MAX : MPI_SUM, communicator.state_->communicator.get()),
        "MPI_Allreduce_c");
}

}  // namespace partita::comm
