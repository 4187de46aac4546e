#include "partita/results/model_file.hpp"

#include <cmath>

#include "archive.hpp"
#include "document.hpp"
#include "partita/base/digest.hpp"

namespace partita::results {
namespace {

void check_shape(const Parameter& p) {
  const auto count = std::visit([](const auto& values) { return values.size(); }, p.values);
  base::expect(
      count > 0 && static_cast<std::int64_t>(count) == p.shape.elements().value() && p.shape.rank() > 0,
      "a parameter has as many values as its shape says", p.layer, p.name, count);
}

template <class Archive, class T>
void exchange_data(Archive& root, T& data) {
  auto group = root.group("data");
  group.attribute("name", data.name);
  group.attribute("sample_shape", data.sample_shape);
  group.attribute("precision", data.precision);
  group.attribute("classes", data.classes);
  exchange_table(group, "normalisation", "channel", true, data.normalisation, [](auto field) {
    field(
        "mean", "1", [](auto& r) -> auto& { return r.mean; });
    field(
        "std", "1", [](auto& r) -> auto& { return r.stddev; });
  });
  exchange_table(group, "classes", "class", true, data.class_names, [](auto field) {
    field(
        "name", "", [](auto& r) -> auto& { return r; });
  });
}

void check_data(const TrainingData& data) {
  if (data.normalisation.empty()) throw hdf5::Failure("there is no normalisation in /data");
  for (const auto& [mean, stddev] : data.normalisation)
    if (!std::isfinite(mean) || !std::isfinite(stddev) || stddev <= 0)
      throw hdf5::Failure("the normalisation in /data divides by what is not above 0, or is not finite");
  const auto names = static_cast<std::int64_t>(data.class_names.size());
  if (data.classes < 0 || (names > 0 && names != data.classes))
    throw hdf5::Failure("/data has " + std::to_string(data.classes) + " classes and names " +
                        std::to_string(names));
}

void fill(const hdf5::File& file, const ModelFile& model) {
  hdf5::write_attribute(file.id(), "model", model.model);
  hdf5::write_attribute(file.id(), "config_hash", model.config_hash);
  hdf5::write_attribute(file.id(), "seed", model.seed);
  if (model.data) {
    GroupWriter root(hdf5::open_group(file.id(), "/"));
    exchange_data(root, *model.data);
  }
  const auto parameters = hdf5::create_group(file.id(), "parameters");
  for (const auto& p : model.parameters) {
    const auto layer = hdf5::exists(parameters.get(), p.layer)
                           ? hdf5::open_group(parameters.get(), p.layer)
                           : hdf5::create_group(parameters.get(), p.layer);
    const hdf5::Extents extents(p.shape.extents().begin(), p.shape.extents().end());
    std::visit(
        [&]<class T>(const std::vector<T>& values) {
          hdf5::write_column<T>(layer.get(), p.name, values, extents, "1");
        },
        p.values);
  }
}

kernels::Shape shape_of(const hdf5::Extents& e) {
  const auto at = [&](std::size_t i) { return static_cast<std::int64_t>(e[i]); };
  switch (e.size()) {
    case 1:
      return {at(0)};
    case 2:
      return {at(0), at(1)};
    case 3:
      return {at(0), at(1), at(2)};
    case 4:
      return {at(0), at(1), at(2), at(3)};
    default:
      throw hdf5::Failure("a parameter has " + std::to_string(e.size()) + " dimensions");
  }
}

Parameter take(hid_t group, const std::string& layer, const std::string& name) {
  Parameter p{.layer = layer, .name = name, .shape = {}, .values = {}};
  hdf5::Extents extents;
  if (hdf5::is_single_precision(group, name))
    p.values = hdf5::read_column<float>(group, name, extents);
  else
    p.values = hdf5::read_column<double>(group, name, extents);
  p.shape = shape_of(extents);
  return p;
}

/// The tensors of one layer; of a layer that other software wrote those that layers of ours have.
void take_layer(hid_t parameters, const std::string& layer, bool is_foreign, ModelFile& model) {
  if (!hdf5::is_group(parameters, layer))
    throw hdf5::Failure("/parameters/" + layer + " is a dataset; a layer is a group with weight and bias");
  const auto group = hdf5::open_group(parameters, layer);
  for (const auto& name : hdf5::members(group.get()))
    if (!is_foreign || name == "weight" || name == "bias")
      model.parameters.push_back(take(group.get(), layer, name));
}

ModelFile take(const hdf5::File& file) {
  ModelFile model;
  const bool is_foreign = !has_marks(file);
  if (!is_foreign) {
    hdf5::read_attribute(file.id(), "model", model.model);
    hdf5::read_attribute(file.id(), "config_hash", model.config_hash);
    hdf5::read_attribute(file.id(), "seed", model.seed);
    if (hdf5::exists(file.id(), "data")) {
      GroupReader root(hdf5::open_group(file.id(), "/"));
      exchange_data(root, model.data.emplace());
      check_data(*model.data);
    }
  }
  const auto parameters = hdf5::open_group(file.id(), "parameters");
  for (const auto& layer : hdf5::members(parameters.get()))
    take_layer(parameters.get(), layer, is_foreign, model);
  return model;
}

}  // namespace

void write_model(const std::filesystem::path& path, const ModelFile& model) {
  for (const auto& p : model.parameters)
    check_shape(p);
  write_document(
      path, "model", [&](const hdf5::File& file) { fill(file, model); },
      [](const hdf5::File& file) { take(file); });
}

ModelFile read_model(const std::filesystem::path& path) {
  ModelFile model;
  read_document(
      path, "model", [&](const hdf5::File& file) { model = take(file); }, Marks::optional);
  return model;
}

std::string content_hash(const ModelFile& model) {
  base::Sha256 digest;
  for (const auto& p : model.parameters) {
    digest.update(p.layer + "." + p.name + " " + to_string(p.shape));
    std::visit(
        [&]<class T>(const std::vector<T>& values) {
          digest.update(sizeof(T) == sizeof(float) ? " float32\n" : " float64\n");
          digest.update(std::as_bytes(std::span(values)));
        },
        p.values);
  }
  return digest.hex();
}

}  // namespace partita::results
