/// Layers without parameters that treat elements one by one: ReLU, Tanh, Flatten (a change of memory order),
/// Dropout.
#include "planned.hpp"

namespace partita::nn {
namespace {

class Relu final : public Operator {
 public:
  explicit Relu(kernels::Backend& backend) : backend_(backend) {}
  void forward(const Tensors& t, const StepPosition&, kernels::Workspace) override {
    backend_.relu_forward(t.x, t.y);
  }
  void backward_data(const Tensors& t, const StepPosition&, kernels::Workspace) override {
    backend_.relu_backward(t.y, t.dy, t.dx);
  }

 private:
  kernels::Backend& backend_;
};

class Tanh final : public Operator {
 public:
  explicit Tanh(kernels::Backend& backend) : backend_(backend) {}
  void forward(const Tensors& t, const StepPosition&, kernels::Workspace) override {
    backend_.tanh_forward(t.x, t.y);
  }
  void backward_data(const Tensors& t, const StepPosition&, kernels::Workspace) override {
    backend_.tanh_backward(t.y, t.dy, t.dx);
  }

 private:
  kernels::Backend& backend_;
};

class Flatten final : public Operator {
 public:
  Flatten(const kernels::Shape& image, std::int64_t batch, kernels::Backend& backend)
      : backend_(backend), image_(image), batch_(batch) {}
  void forward(const Tensors& t, const StepPosition&, kernels::Workspace) override {
    backend_.reorder(batch_, image_, backend_.image_layout(), kernels::Layout::nchw, t.x, t.y);
  }
  void backward_data(const Tensors& t, const StepPosition&, kernels::Workspace) override {
    backend_.reorder(batch_, image_, kernels::Layout::nchw, backend_.image_layout(), t.dy, t.dx);
  }

 private:
  kernels::Backend& backend_;
  kernels::Shape image_;
  std::int64_t batch_;
};

class Dropout final : public Operator {
 public:
  Dropout(const model::Layer& layer, const Placing& placing, std::int64_t batch, kernels::Backend& backend)
      : backend_(backend), layer_index_(placing.index) {
    const bool image = layer.input.rank() == 3;
    const auto& whole = placing.whole.rank() == 0 ? layer.input : placing.whole;
    shape_ = {.batch = batch,
              .channels = image ? layer.input[0] : layer.input.elements().value(),
              .height = image ? layer.input[1] : 1,
              .width = image ? layer.input[2] : 1,
              .layout = image ? backend.image_layout() : kernels::Layout::nchw,
              .probability = layer.probability,
              .first_channel = placing.first_channel,
              .first_row = placing.first_row,
              .full_channels = image ? whole[0] : whole.elements().value(),
              .full_height = image ? whole[1] : 1};
  }
  void forward(const Tensors& t, const StepPosition& at, kernels::Workspace) override { draw(at, t.x, t.y); }
  void backward_data(const Tensors& t, const StepPosition& at, kernels::Workspace) override {
    draw(at, t.dy, t.dx);
  }

 private:
  void draw(const StepPosition& at, ConstView from, View to) {
    backend_.dropout(shape_, at.values, static_cast<std::uint32_t>(layer_index_), at.first_sample, from, to);
  }
  kernels::Backend& backend_;
  int layer_index_;
  kernels::DropoutShape shape_;
};

}  // namespace

std::unique_ptr<Operator> plan_activation(const model::Layer& layer, kernels::Backend& backend) {
  if (layer.kind == model::LayerKind::tanh) return std::make_unique<Tanh>(backend);
  return std::make_unique<Relu>(backend);
}

std::unique_ptr<Operator> plan_flatten(const model::Layer& layer, std::int64_t batch,
                                       kernels::Backend& backend) {
  return std::make_unique<Flatten>(layer.input, batch, backend);
}

std::unique_ptr<Operator> plan_dropout(const model::Layer& layer, const Placing& placing, std::int64_t batch,
                                       kernels::Backend& backend) {
  return std::make_unique<Dropout>(layer, placing, batch, backend);
}

}  // namespace partita::nn
