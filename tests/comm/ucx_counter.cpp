/// Preloaded below MPI: counts what MPICH hands to UCX as tagged sends, whatever MPI call it came from.
#include <dlfcn.h>
#include <ucp/api/ucp.h>

#include <atomic>
#include <cstdint>

namespace {
std::atomic<std::int64_t> bytes{0}, messages{0};
}

extern "C" std::int64_t partita_ucx_bytes() { return bytes.load(); }
extern "C" std::int64_t partita_ucx_messages() { return messages.load(); }

extern "C" ucs_status_ptr_t ucp_tag_send_nbx(ucp_ep_h endpoint, const void* buffer, size_t count,
                                             ucp_tag_t tag, const ucp_request_param_t* parameters) {
  using Send = ucs_status_ptr_t (*)(ucp_ep_h, const void*, size_t, ucp_tag_t, const ucp_request_param_t*);
  static const auto next = reinterpret_cast<Send>(dlsym(RTLD_NEXT, "ucp_tag_send_nbx"));
  std::size_t element = 1;
  if ((parameters->op_attr_mask & UCP_OP_ATTR_FIELD_DATATYPE) != 0 &&
      (parameters->datatype & UCP_DATATYPE_CLASS_MASK) == UCP_DATATYPE_CONTIG)
    element = parameters->datatype >> UCP_DATATYPE_SHIFT;
  bytes += static_cast<std::int64_t>(count * element);
  messages += 1;
  return next(endpoint, buffer, count, tag, parameters);
}
