/// oneDNN as its version 3 spells it: `onednn` is `dnnl` there. Version 2 lacks what of version 3 is used
/// here: primitive descriptions made from an operation's arguments, without an operation descriptor. This is
/// the one place that knows.
#pragma once

#include <dnnl.hpp>

#if DNNL_VERSION_MAJOR >= 3

namespace partita::kernels::cpu {
namespace onednn = dnnl;
}

#else

namespace partita::kernels::cpu::onednn {

using namespace dnnl;  // what is declared below goes before
using Desc = memory::desc;
using Dims = memory::dims;

struct post_ops : dnnl::post_ops {
  void append_eltwise(algorithm operation, float alpha, float beta) {
    dnnl::post_ops::append_eltwise(1.0F, operation, alpha, beta);
  }
};

struct matmul : dnnl::matmul {
  using dnnl::matmul::matmul;
  struct primitive_desc : dnnl::matmul::primitive_desc {
    primitive_desc(const engine& where, const Desc& a, const Desc& b, const Desc& c,
                   const primitive_attr& how)
        : dnnl::matmul::primitive_desc(desc(a, b, c), how, where) {}
    primitive_desc(const engine& where, const Desc& a, const Desc& b, const Desc& bias, const Desc& c,
                   const primitive_attr& how)
        : dnnl::matmul::primitive_desc(desc(a, b, bias, c), how, where) {}
  };
};

struct eltwise_forward : dnnl::eltwise_forward {
  using dnnl::eltwise_forward::eltwise_forward;
  struct primitive_desc : dnnl::eltwise_forward::primitive_desc {
    /// Version 2 has one description for both sides.
    primitive_desc(const engine& where, prop_kind kind, algorithm operation, const Desc& x, const Desc&,
                   float alpha, float beta)
        : dnnl::eltwise_forward::primitive_desc(desc(kind, operation, x, alpha, beta), where) {}
  };
};

struct convolution_forward : dnnl::convolution_forward {
  using dnnl::convolution_forward::convolution_forward;
  struct primitive_desc : dnnl::convolution_forward::primitive_desc {
    primitive_desc(const engine& where, prop_kind kind, algorithm by, const Desc& x, const Desc& w,
                   const Desc& bias, const Desc& y, const Dims& strides, const Dims& near, const Dims& far,
                   const primitive_attr& how = {})
        : dnnl::convolution_forward::primitive_desc(desc(kind, by, x, w, bias, y, strides, near, far), how,
                                                    where) {}
  };
};

struct convolution_backward_data : dnnl::convolution_backward_data {
  using dnnl::convolution_backward_data::convolution_backward_data;
  struct primitive_desc : dnnl::convolution_backward_data::primitive_desc {
    primitive_desc(const engine& where, algorithm by, const Desc& dx, const Desc& w, const Desc& dy,
                   const Dims& strides, const Dims& near, const Dims& far,
                   const dnnl::convolution_forward::primitive_desc& forward, const primitive_attr& how)
        : dnnl::convolution_backward_data::primitive_desc(desc(by, dx, w, dy, strides, near, far), how, where,
                                                          forward) {}
  };
};

struct convolution_backward_weights : dnnl::convolution_backward_weights {
  using dnnl::convolution_backward_weights::convolution_backward_weights;
  struct primitive_desc : dnnl::convolution_backward_weights::primitive_desc {
    primitive_desc(const engine& where, algorithm by, const Desc& x, const Desc& dw, const Desc& dy,
                   const Dims& strides, const Dims& near, const Dims& far,
                   const dnnl::convolution_forward::primitive_desc& forward, const primitive_attr& how)
        : dnnl::convolution_backward_weights::primitive_desc(desc(by, x, dw, dy, strides, near, far), how,
                                                             where, forward) {}
  };
};

}  // namespace partita::kernels::cpu::onednn

#endif
