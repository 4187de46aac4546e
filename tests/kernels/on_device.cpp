#include "on_device.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>

namespace partita::tests {

using namespace kernels;

namespace {

constexpr std::int64_t guard = 256;
constexpr std::byte unwritten{0xA5};

ConstView bytes(const void* data, std::int64_t size) { return {data, DataType::uint8, Elements(size)}; }
View bytes(void* data, std::int64_t size) { return {data, DataType::uint8, Elements(size)}; }

}  // namespace

void* OnDevice::Call::place(const void* host, std::int64_t size, bool written) {
  for (auto& part : parts_)
    if (host != nullptr && part.host == host) {  // the same view twice, or parts of one that begin together
      if (part.bytes < size) throw std::logic_error("name the longer of two views first");
      part.written |= written;
      return memory_.data + part.offset;
    }
  const auto within = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(host) % 16);
  const Part part{host, used_ + guard + within, size, written};
  used_ = (part.offset + size + guard - 1) / guard * guard;
  if (used_ + guard > Memory::size) throw std::length_error("a test needs more memory of the device");
  parts_.push_back(part);
  return memory_.data + part.offset;
}

View OnDevice::Call::operator()(View view) {
  if (view.empty()) return {nullptr, view.type(), Elements(0)};
  return {place(view.data(), view.bytes().value(), true), view.type(), view.size()};
}

ConstView OnDevice::Call::operator()(ConstView view) {
  if (view.empty()) return {nullptr, view.type(), Elements(0)};
  return {place(view.data(), view.bytes().value(), false), view.type(), view.size()};
}

Workspace OnDevice::Call::workspace(const Plan& plan) {
  const auto size = plan.workspace().value();
  if (size == 0) return {};
  return {static_cast<std::byte*>(place(nullptr, size, true)), static_cast<std::size_t>(size)};
}

std::vector<std::byte> OnDevice::Call::image() const {
  std::vector<std::byte> image(static_cast<std::size_t>(used_ + guard), unwritten);
  for (const auto& part : parts_)
    if (part.host) std::memcpy(image.data() + part.offset, part.host, static_cast<std::size_t>(part.bytes));
  return image;
}

void OnDevice::Call::run(const std::function<void()>& f) {
  auto& device = memory_.device;
  const auto before = image();
  const auto size = static_cast<std::int64_t>(before.size());
  device.copy(Device::Queue::compute, bytes(memory_.data, size), bytes(before.data(), size));
  std::exception_ptr thrown;
  try {
    f();
  } catch (...) {
    thrown = std::current_exception();
  }
  copy_back(before);
  if (thrown) std::rethrow_exception(thrown);
}

void OnDevice::Call::copy_back(const std::vector<std::byte>& before) {
  auto after = before;
  const auto size = static_cast<std::int64_t>(after.size());
  memory_.device.copy(Device::Queue::compute, bytes(after.data(), size),
                      bytes(static_cast<const void*>(memory_.data), size));
  memory_.device.synchronize();
  for (const auto& part : parts_) {
    auto* const here = after.data() + part.offset;
    const auto length = static_cast<std::size_t>(part.bytes);
    if (part.written && part.host) std::memcpy(const_cast<void*>(part.host), here, length);
    if (part.written) std::memcpy(here, before.data() + part.offset, length);
  }
  if (after != before) {
    const auto at = std::mismatch(after.begin(), after.end(), before.begin()).first - after.begin();
    ADD_FAILURE() << "the device wrote beside its output, at byte " << at << " of " << size;
  }
}

void OnDevice::relu_forward(ConstView x, View y) {
  Call at(memory_);
  at.run([&, X = at(x), Y = at(y)] { backend_.relu_forward(X, Y); });
}
void OnDevice::relu_backward(ConstView y, ConstView dy, View dx) {
  Call at(memory_);
  at.run([&, Y = at(y), DY = at(dy), DX = at(dx)] { backend_.relu_backward(Y, DY, DX); });
}
void OnDevice::tanh_forward(ConstView x, View y) {
  Call at(memory_);
  at.run([&, X = at(x), Y = at(y)] { backend_.tanh_forward(X, Y); });
}
void OnDevice::tanh_backward(ConstView y, ConstView dy, View dx) {
  Call at(memory_);
  at.run([&, Y = at(y), DY = at(dy), DX = at(dx)] { backend_.tanh_backward(Y, DY, DX); });
}
void OnDevice::dropout(const DropoutShape& s, const StepValues* step, std::uint32_t layer, Samples first,
                       ConstView x, View y) {
  Call at(memory_);
  at.run([&, there = at(step), X = at(x), Y = at(y)] { backend_.dropout(s, there, layer, first, X, Y); });
}
void OnDevice::gather(ConstView table, std::int64_t columns, ConstView indices, ConstView scale,
                      ConstView shift, View out) {
  Call at(memory_);
  at.run([&, T = at(table), I = at(indices), A = at(scale), B = at(shift), O = at(out)] {
    backend_.gather(T, columns, I, A, B, O);
  });
}
void OnDevice::reorder(std::int64_t batch, const Shape& image, Layout from, Layout to, ConstView x, View y) {
  Call at(memory_);
  at.run([&, X = at(x), Y = at(y)] { backend_.reorder(batch, image, from, to, X, Y); });
}
void OnDevice::copy_block(const BlockExtents& extents, const StridedBlock& from, ConstView x,
                          const StridedBlock& to, View y, Write write) {
  Call at(memory_);
  at.run([&, X = at(x), Y = at(y)] { backend_.copy_block(extents, from, X, to, Y, write); });
}
void OnDevice::zero(View y) {
  Call at(memory_);
  at.run([&, Y = at(y)] { backend_.zero(Y); });
}
void OnDevice::sum_rows(std::int64_t rows, std::int64_t columns, ConstView x, View b, Write write) {
  Call at(memory_);
  at.run([&, X = at(x), B = at(b)] { backend_.sum_rows(rows, columns, X, B, write); });
}
void OnDevice::cross_entropy(std::int64_t batch, std::int64_t classes, ConstView logits, ConstView labels,
                             double scale, View dlogits, View sums) {
  Call at(memory_);
  at.run([&, L = at(logits), A = at(labels), D = at(dlogits), S = at(sums)] {
    backend_.cross_entropy(batch, classes, L, A, scale, D, S);
  });
}
void OnDevice::cross_entropy_statistics(std::int64_t batch, std::int64_t classes, std::int64_t first_class,
                                        ConstView logits, ConstView labels, View statistics) {
  Call at(memory_);
  at.run([&, L = at(logits), A = at(labels), S = at(statistics)] {
    backend_.cross_entropy_statistics(batch, classes, first_class, L, A, S);
  });
}
void OnDevice::cross_entropy_finish(std::int64_t batch, std::int64_t classes, std::int64_t first_class,
                                    std::span<const std::int64_t> class_offsets, ConstView statistics,
                                    ConstView logits, ConstView labels, double scale, View dlogits,
                                    View sums) {
  Call at(memory_);
  at.run([&, T = at(statistics), L = at(logits), A = at(labels), D = at(dlogits), S = at(sums)] {
    backend_.cross_entropy_finish(batch, classes, first_class, class_offsets, T, L, A, scale, D, S);
  });
}
void OnDevice::mean_squared_error(std::int64_t batch, std::int64_t features, ConstView output,
                                  ConstView target, double scale, View doutput, View sums) {
  Call at(memory_);
  at.run([&, O = at(output), T = at(target), D = at(doutput), S = at(sums)] {
    backend_.mean_squared_error(batch, features, O, T, scale, D, S);
  });
}
void OnDevice::add_sums(ConstView parts, bool in_tree, View total) {
  Call at(memory_);
  at.run([&, P = at(parts), T = at(total)] { backend_.add_sums(P, in_tree, T); });
}
void OnDevice::squares(ConstView x, View sum, Write write) {
  Call at(memory_);
  at.run([&, X = at(x), S = at(sum)] { backend_.squares(X, S, write); });
}
void OnDevice::add_rows(ConstView rows, View total) {
  Call at(memory_);
  at.run([&, R = at(rows), T = at(total)] { backend_.add_rows(R, T); });
}
void OnDevice::clip(std::int64_t parts, ConstView squares, double limit, View scale) {
  Call at(memory_);
  at.run([&, Q = at(squares), S = at(scale)] { backend_.clip(parts, Q, limit, S); });
}

namespace {

/// With its vectors on the device, of which the states are kept in `moved`.
template <class Call>
Update there(Call& at, Update on, std::vector<View>& moved) {
  for (const View state : on.states)
    moved.push_back(at(state));
  on.states = moved;
  on.step = at(on.step), on.non_finite_step = at(on.non_finite_step);
  on.sums = at(on.sums), on.scale = at(on.scale), on.squares = at(on.squares);
  on.w = at(on.w), on.g = at(on.g);
  return on;
}

}  // namespace

void OnDevice::update(const kernels::OptimizerSpec& optimizer, const Update& on) {
  Call at(memory_);
  std::vector<View> moved;
  at.run([&, on = there(at, on, moved)] { backend_.update(optimizer, on); });
}
void OnDevice::direct(const kernels::OptimizerSpec& optimizer, const Update& on, View u) {
  Call at(memory_);
  std::vector<View> moved;
  at.run([&, U = at(u), on = there(at, on, moved)] { backend_.direct(optimizer, on, U); });
}

}  // namespace partita::tests
