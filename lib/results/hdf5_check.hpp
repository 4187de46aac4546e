/// Turns what HDF5 returns into `hdf5::Failure`, and makes the property lists that files and groups share.
#pragma once

#include <string>

#include "hdf5.hpp"

namespace partita::results::hdf5 {

/// The description of the innermost error of HDF5's stack.
inline std::string innermost_error() {
  std::string text;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned n, const H5E_error2_t* error, void* out) -> herr_t {
        if (n == 0 && error->desc) *static_cast<std::string*>(out) = error->desc;
        return 0;
      },
      &text);
  return text.empty() ? "no further text" : text;
}

template <class Result>
Result checked(Result result, const std::string& what) {
  if (result < 0) throw Failure(what + " failed (" + innermost_error() + ")");
  return result;
}

inline PropertyList properties(hid_t kind) { return PropertyList(checked(H5Pcreate(kind), "H5Pcreate")); }

inline void list_in_order_of_creation(const PropertyList& list) {
  checked(H5Pset_link_creation_order(list.get(), H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED),
          "H5Pset_link_creation_order");
  checked(H5Pset_obj_track_times(list.get(), false), "H5Pset_obj_track_times");
}

}  // namespace partita::results::hdf5
