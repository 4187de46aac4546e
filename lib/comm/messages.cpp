/// Up to 2³¹ − 1 bytes a message is so many bytes; a longer one is a single element of a type made of chunks
/// of 1 MiB and the bytes that are left.
#include "messages.hpp"

#include <limits>

namespace partita::comm {
namespace {

/// A number of elements of a type that make up so many bytes.
class Bytes {
 public:
  explicit Bytes(std::int64_t bytes) {
    constexpr std::int64_t most = std::numeric_limits<int>::max();
    count_ = static_cast<int>(bytes <= most ? bytes : 1);
    if (bytes <= most) return;
    // So many chunks, and what remains.
    constexpr int chunk = 1 << 20;
    MPI_Datatype chunks = MPI_DATATYPE_NULL, parts[2] = {MPI_DATATYPE_NULL, MPI_BYTE};
    MPI_Type_contiguous(chunk, MPI_BYTE, &chunks);
    MPI_Type_contiguous(static_cast<int>(bytes / chunk), chunks, &parts[0]);
    const int lengths[2] = {1, static_cast<int>(bytes % chunk)};
    const MPI_Aint offsets[2] = {0, static_cast<MPI_Aint>(bytes - bytes % chunk)};
    code_ = MPI_Type_create_struct(2, lengths, offsets, parts, &type_);
    MPI_Type_free(&chunks);
    MPI_Type_free(&parts[0]);
    if (code_ == MPI_SUCCESS) code_ = MPI_Type_commit(&type_);
  }
  /// MPI keeps the type until no request needs it.
  ~Bytes() {
    if (type_ != MPI_BYTE && type_ != MPI_DATATYPE_NULL) MPI_Type_free(&type_);
  }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;

  /// What `call` makes of count and type, unless the type could not be made.
  template <class Call>
  int post(const Call& call) const {
    return code_ == MPI_SUCCESS ? call(count_, type_) : code_;
  }

 private:
  int count_ = 0, code_ = MPI_SUCCESS;
  MPI_Datatype type_ = MPI_BYTE;
};

}  // namespace

int post_send(const void* data, std::int64_t bytes, int to, int tag, MPI_Comm communicator,
              MPI_Request* request) {
  return Bytes(bytes).post([&](int count, MPI_Datatype type) {
    return MPI_Isend(data, count, type, to, tag, communicator, request);
  });
}

int post_receive(void* data, std::int64_t bytes, int from, int tag, MPI_Comm communicator,
                 MPI_Request* request) {
  return Bytes(bytes).post([&](int count, MPI_Datatype type) {
    return MPI_Irecv(data, count, type, from, tag, communicator, request);
  });
}

int post_matched_receive(void* data, std::int64_t bytes, MPI_Message* message, MPI_Request* request) {
  return Bytes(bytes).post(
      [&](int count, MPI_Datatype type) { return MPI_Imrecv(data, count, type, message, request); });
}

}  // namespace partita::comm
