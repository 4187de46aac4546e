/// Writes a model's parameters and reads them back: from files of ours all or nothing, from files of other
/// software what has the names of layers, keeping why the rest could not be read.
#include "partita/results/model_file.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>
#include <utility>

#include "archive.hpp"
#include "document.hpp"
#include "hdf5_bounds.hpp"
#include "partita/base/digest.hpp"
#include "partita/model/layer_kind.hpp"

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

kernels::Shape shape_of(const hdf5::Extents& e, const std::string& place) {
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
      throw hdf5::Failure(place + " has " + std::to_string(e.size()) + " dimensions, not 1 to 4");
  }
}

Parameter take(hid_t group, const std::string& layer, const std::string& name, hdf5::Sums sums) {
  Parameter p{.layer = layer, .name = name, .shape = {}, .values = {}};
  hdf5::Extents extents;
  if (hdf5::is_single_precision(group, name))
    p.values = hdf5::read_column<float>(group, name, extents, sums);
  else
    p.values = hdf5::read_column<double>(group, name, extents, sums);
  p.shape = shape_of(extents, hdf5::place_of(group, name));
  return p;
}

hdf5::Group open_layer(hid_t parameters, const std::string& layer) {
  if (!hdf5::is_group(parameters, layer))
    throw hdf5::Failure("/parameters/" + layer +
                        " is a dataset; a layer is a group of tensors such as weight");
  return hdf5::open_group(parameters, layer);
}

void take_layer(hid_t parameters, const std::string& layer, ModelFile& model) {
  const auto group = open_layer(parameters, layer);
  for (const auto& name : hdf5::members(group.get()))
    model.parameters.push_back(take(group.get(), layer, name, hdf5::Sums::checked));
}

/// Of a layer that other software wrote those tensors that layers of ours have. What cannot be read is kept
/// as a name: the model may not have that layer.
void take_foreign_layer(hid_t parameters, const std::string& layer, ModelFile& model) {
  const auto keep = [&](const std::string& name, const hdf5::Failure& failure) {
    model.parameters.push_back(
        {.layer = layer, .name = name, .shape = {}, .values = {}, .unreadable = failure.what()});
  };
  hdf5::Group group;
  try {
    group = open_layer(parameters, layer);
  } catch (const hdf5::Failure& failure) {
    return keep("weight", failure);
  }
  const auto known = model::parameter_names();
  for (const auto& name : hdf5::members(group.get()))
    try {
      if (std::find(known.begin(), known.end(), name) != known.end())
        model.parameters.push_back(take(group.get(), layer, name, hdf5::Sums::ignored));
    } catch (const hdf5::Failure& failure) {
      keep(name, failure);
    }
}

/// A file of which nothing can be read is no model file.
void require_readable(const ModelFile& model) {
  const auto& all = model.parameters;
  const auto is_unreadable = [](const Parameter& p) { return !p.unreadable.empty(); };
  if (!all.empty() && std::all_of(all.begin(), all.end(), is_unreadable))
    throw hdf5::Failure(all.front().unreadable);
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
    (is_foreign ? take_foreign_layer : take_layer)(parameters.get(), layer, model);
  if (is_foreign) require_readable(model);
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
  // By name: in which order a file holds its tensors is an accident of whoever wrote it.
  std::map<std::pair<std::string, std::string>, const Parameter*> by_name;
  for (const auto& p : model.parameters)
    by_name[{p.layer, p.name}] = &p;
  base::Sha256 digest;
  for (const auto& [name, parameter] : by_name) {
    const auto& p = *parameter;
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
