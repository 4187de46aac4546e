/// Plans of a device's back-end: each of their passes as one call of `OnDevice`.
#include <utility>

#include "on_device.hpp"

namespace partita::tests {

using namespace kernels;

namespace {

class DeviceGemm final : public Gemm {
 public:
  DeviceGemm(std::unique_ptr<Gemm> plan, OnDevice::Memory& memory)
      : plan_(std::move(plan)), memory_(memory) {}
  Bytes workspace() const override { return plan_->workspace(); }
  void run(const GemmViews& v, Workspace) override {
    OnDevice::Call at(memory_);
    const GemmViews there{at(v.a), at(v.b), at(v.bias), at(v.mask), at(v.c), at(v.row_sums)};
    const auto workspace = at.workspace(*plan_);
    at.run([&] { plan_->run(there, workspace); });
  }

 private:
  std::unique_ptr<Gemm> plan_;
  OnDevice::Memory& memory_;
};

class DeviceConvolution final : public Convolution {
 public:
  DeviceConvolution(std::unique_ptr<Convolution> plan, OnDevice::Memory& memory)
      : plan_(std::move(plan)), memory_(memory) {}
  Bytes workspace() const override { return plan_->workspace(); }
  void forward(ConstView x, ConstView weight, ConstView bias, View y, Workspace) override {
    OnDevice::Call at(memory_);
    const auto X = at(x), W = at(weight), B = at(bias);
    const auto Y = at(y);
    const auto workspace = at.workspace(*plan_);
    at.run([&] { plan_->forward(X, W, B, Y, workspace); });
  }
  void backward_data(ConstView dy, ConstView weight, View dx, Workspace) override {
    OnDevice::Call at(memory_);
    const auto DY = at(dy), W = at(weight);
    const auto DX = at(dx);
    const auto workspace = at.workspace(*plan_);
    at.run([&] { plan_->backward_data(DY, W, DX, workspace); });
  }
  void backward_parameters(ConstView x, ConstView dy, View dweight, View dbias, Write write,
                           Workspace) override {
    OnDevice::Call at(memory_);
    const auto X = at(x), DY = at(dy);
    const auto DW = at(dweight), DB = at(dbias);
    const auto workspace = at.workspace(*plan_);
    at.run([&] { plan_->backward_parameters(X, DY, DW, DB, write, workspace); });
  }

 private:
  std::unique_ptr<Convolution> plan_;
  OnDevice::Memory& memory_;
};

class DevicePooling final : public Pooling {
 public:
  DevicePooling(std::unique_ptr<Pooling> plan, OnDevice::Memory& memory)
      : plan_(std::move(plan)), memory_(memory) {}
  Bytes workspace() const override { return plan_->workspace(); }
  void forward(ConstView x, View y, View winners, Workspace) override {
    OnDevice::Call at(memory_);
    const auto X = at(x);
    const auto Y = at(y), W = at(winners);
    const auto workspace = at.workspace(*plan_);
    at.run([&] { plan_->forward(X, Y, W, workspace); });
  }
  void backward(ConstView dy, ConstView winners, View dx, Workspace) override {
    OnDevice::Call at(memory_);
    const auto DY = at(dy), W = at(winners);
    const auto DX = at(dx);
    const auto workspace = at.workspace(*plan_);
    at.run([&] { plan_->backward(DY, W, DX, workspace); });
  }

 private:
  std::unique_ptr<Pooling> plan_;
  OnDevice::Memory& memory_;
};

class DeviceBatchNorm final : public BatchNorm {
 public:
  DeviceBatchNorm(std::unique_ptr<BatchNorm> plan, OnDevice::Memory& memory)
      : plan_(std::move(plan)), memory_(memory) {}
  Bytes workspace() const override { return plan_->workspace(); }
  void statistics(ConstView x, View sums, Workspace) override {
    OnDevice::Call at(memory_);
    const auto X = at(x);
    const auto S = at(sums);
    const auto workspace = at.workspace(*plan_);
    at.run([&] { plan_->statistics(X, S, workspace); });
  }
  void update_running(ConstView sums, std::int64_t count, View mean, View variance) override {
    OnDevice::Call at(memory_);
    const auto S = at(sums);
    const auto M = at(mean), V = at(variance);
    at.run([&] { plan_->update_running(S, count, M, V); });
  }
  void forward(ConstView x, const BatchMoments& moments, ConstView weight, ConstView bias, View y,
               Workspace) override {
    OnDevice::Call at(memory_);
    const auto X = at(x), W = at(weight), B = at(bias);
    const auto there = moments_at(at, moments);
    const auto Y = at(y);
    const auto workspace = at.workspace(*plan_);
    at.run([&] { plan_->forward(X, there, W, B, Y, workspace); });
  }
  void gradient_sums(ConstView x, ConstView dy, const BatchMoments& moments, View sums, Workspace) override {
    OnDevice::Call at(memory_);
    const auto X = at(x), DY = at(dy);
    const auto there = moments_at(at, moments);
    const auto S = at(sums);
    const auto workspace = at.workspace(*plan_);
    at.run([&] { plan_->gradient_sums(X, DY, there, S, workspace); });
  }
  void backward_parameters(ConstView sums, View dweight, View dbias, Write write) override {
    OnDevice::Call at(memory_);
    const auto S = at(sums);
    const auto DW = at(dweight), DB = at(dbias);
    at.run([&] { plan_->backward_parameters(S, DW, DB, write); });
  }
  void backward_data(ConstView x, ConstView dy, const BatchMoments& moments, ConstView sums, ConstView weight,
                     View dx, Workspace) override {
    OnDevice::Call at(memory_);
    const auto X = at(x), DY = at(dy), S = at(sums), W = at(weight);
    const auto there = moments_at(at, moments);
    const auto DX = at(dx);
    const auto workspace = at.workspace(*plan_);
    at.run([&] { plan_->backward_data(X, DY, there, S, W, DX, workspace); });
  }

 private:
  static BatchMoments moments_at(OnDevice::Call& at, const BatchMoments& m) {
    return {at(m.sums), m.count, at(m.running_mean), at(m.running_variance)};
  }

  std::unique_ptr<BatchNorm> plan_;
  OnDevice::Memory& memory_;
};

}  // namespace

std::unique_ptr<Gemm> OnDevice::plan_gemm(const GemmShape& s) {
  return std::make_unique<DeviceGemm>(backend_.plan_gemm(s), memory_);
}
std::unique_ptr<Convolution> OnDevice::plan_convolution(const ConvolutionShape& s) {
  return std::make_unique<DeviceConvolution>(backend_.plan_convolution(s), memory_);
}
std::unique_ptr<Pooling> OnDevice::plan_pooling(const PoolingShape& s) {
  return std::make_unique<DevicePooling>(backend_.plan_pooling(s), memory_);
}
std::unique_ptr<BatchNorm> OnDevice::plan_batch_norm(const BatchNormShape& s) {
  return std::make_unique<DeviceBatchNorm>(backend_.plan_batch_norm(s), memory_);
}

}  // namespace partita::tests
