/// A device's back-end behind the face of a host's: each call copies what its views hold to the device, runs
/// there, and copies back. So one set of tests serves all back-ends.
///
/// Each view lies between guards, at the same place within 16 bytes as on the host (so that slices are as
/// badly aligned there). After the call, also one that throws, guards and inputs must be as they were.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "partita/kernels/backend.hpp"

namespace partita::tests {

class OnDevice final : public kernels::Backend {
  using View = kernels::View;
  using ConstView = kernels::ConstView;
  using Write = kernels::Write;

 public:
  /// Memory of the device for the views of one call at a time.
  class Memory {
   public:
    static constexpr std::int64_t size = std::int64_t{4} << 20;
    explicit Memory(kernels::Device& device) : device(device), data(device.allocate(kernels::Bytes(size))) {}
    ~Memory() { device.release(data); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    kernels::Device& device;
    std::byte* const data;
  };

  /// The views of one call.
  class Call {
   public:
    explicit Call(Memory& memory) : memory_(memory) {}
    View operator()(View view);
    ConstView operator()(ConstView view);
    template <class T>
    T* operator()(T* value) {
      return static_cast<T*>(place(value, sizeof(T), !std::is_const_v<T>));
    }
    kernels::Workspace workspace(const kernels::Plan& plan);
    /// Copies there, runs, waits, copies back; throws what `f` throws.
    void run(const std::function<void()>& f);

   private:
    struct Part {
      const void* host;  ///< null: a workspace
      std::int64_t offset, bytes;
      bool written;
    };
    void* place(const void* host, std::int64_t bytes, bool written);
    [[nodiscard]] std::vector<std::byte> image() const;
    void copy_back(const std::vector<std::byte>& before);

    Memory& memory_;
    std::vector<Part> parts_;
    std::int64_t used_ = 0;
  };

  OnDevice(kernels::Backend& backend, Memory& memory) : backend_(backend), memory_(memory) {}

  std::string_view name() const override { return backend_.name(); }
  kernels::DataType type() const override { return backend_.type(); }
  kernels::Device& device() override { return backend_.device(); }
  kernels::Layout image_layout() const override { return backend_.image_layout(); }

  std::unique_ptr<kernels::Gemm> plan_gemm(const kernels::GemmShape&) override;
  std::unique_ptr<kernels::Convolution> plan_convolution(const kernels::ConvolutionShape&) override;
  std::unique_ptr<kernels::Pooling> plan_pooling(const kernels::PoolingShape&) override;
  std::unique_ptr<kernels::BatchNorm> plan_batch_norm(const kernels::BatchNormShape&) override;

  void relu_forward(ConstView x, View y) override;
  void relu_backward(ConstView y, ConstView dy, View dx) override;
  void tanh_forward(ConstView x, View y) override;
  void tanh_backward(ConstView y, ConstView dy, View dx) override;
  void dropout(const kernels::DropoutShape&, const kernels::StepValues*, std::uint32_t layer,
               kernels::Samples first, ConstView x, View y) override;
  void gather(ConstView table, std::int64_t columns, ConstView indices, ConstView scale, ConstView shift,
              View out) override;
  void reorder(std::int64_t batch, const kernels::Shape& image, kernels::Layout from, kernels::Layout to,
               ConstView x, View y) override;
  void copy_block(const kernels::BlockExtents&, const kernels::StridedBlock& from, ConstView x,
                  const kernels::StridedBlock& to, View y, Write) override;
  void zero(View y) override;
  void sum_rows(std::int64_t rows, std::int64_t columns, ConstView x, View b, Write) override;
  void cross_entropy(std::int64_t batch, std::int64_t classes, ConstView logits, ConstView labels,
                     double scale, View dlogits, View sums) override;
  void cross_entropy_statistics(std::int64_t batch, std::int64_t classes, std::int64_t first_class,
                                ConstView logits, ConstView labels, View statistics) override;
  void cross_entropy_finish(std::int64_t batch, std::int64_t classes, std::int64_t first_class,
                            std::span<const std::int64_t> class_offsets, ConstView statistics,
                            ConstView logits, ConstView labels, double scale, View dlogits,
                            View sums) override;
  void mean_squared_error(std::int64_t batch, std::int64_t features, ConstView output, ConstView target,
                          double scale, View doutput, View sums) override;
  void add_sums(ConstView parts, bool in_tree, View total) override;
  void squares(ConstView x, View sum, Write) override;
  void add_rows(ConstView rows, View total) override;
  void clip(std::int64_t parts, ConstView squares, double limit, View scale) override;
  void update(const kernels::OptimizerSpec&, const kernels::Update&) override;
  void direct(const kernels::OptimizerSpec&, const kernels::Update&, View u) override;

 private:
  kernels::Backend& backend_;
  Memory& memory_;
};

}  // namespace partita::tests
