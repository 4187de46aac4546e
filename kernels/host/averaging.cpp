/// Plain loops over contiguous values.
#include "partita/kernels/averaging.hpp"

namespace partita::kernels {
namespace {

template <class T>
void scale(std::span<T> w, T factor) {
  for (T& value : w)
    value *= factor;
}

template <class T>
void outer_step(std::span<T> w, std::span<T> anchor, std::span<T> velocity, T rate, T momentum) {
  for (std::size_t i = 0; i < w.size(); ++i) {
    const T moved = anchor[i] - w[i];
    velocity[i] = momentum * velocity[i] + moved;
    anchor[i] -= rate * (moved + momentum * velocity[i]);
    w[i] = anchor[i];
  }
}

}  // namespace

void scale(View w, double factor) {
  if (w.type() == DataType::float64) return scale(w.as<double>(), factor);
  scale(w.as<float>(), static_cast<float>(factor));
}

void outer_step(View w, View anchor, View velocity, double rate, double momentum) {
  if (w.type() == DataType::float64)
    return outer_step(w.as<double>(), anchor.as<double>(), velocity.as<double>(), rate, momentum);
  outer_step(w.as<float>(), anchor.as<float>(), velocity.as<float>(), static_cast<float>(rate),
             static_cast<float>(momentum));
}

}  // namespace partita::kernels
