/// Writing shards, images and the manifest, a slice at a time.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <future>

#include "checkpoint_schema.hpp"
#include "document.hpp"
#include "file_calls.hpp"
#include "hdf5_tensor.hpp"
#include "partita/base/digest.hpp"

namespace partita::results {
namespace {

namespace fs = std::filesystem;

/// What is summed, copied or written between two looks at the clock: well below a millisecond.
constexpr std::size_t slice_bytes = 256 << 10;

/// What a shard has besides its values.
constexpr std::int64_t least_shard = 1 << 20;

/// A call that may block for long, such as fsync, beside the caller's work.
base::Sliced beside(std::function<void()> call) {
  auto over = std::async(std::launch::async, std::move(call));
  while (over.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
    co_yield base::next_slice;
  over.get();
}

/// Whether the temporary file is still to be removed.
struct Temporary {
  fs::path path;
  bool exists = true;
  ~Temporary() {
    if (exists) ::unlink(path.c_str());
  }
};

/// Columns of one input: the window of a convolution.
std::int64_t window_of(const Block& block) {
  std::int64_t window = 1;
  for (std::size_t i = 2; i < block.shape.rank(); ++i)
    window *= block.shape[i];
  return window;
}
/// Whether it is a box of the tensor; else a share has cut a window.
bool has_whole_windows(const Block& block) {
  return block.first_column % window_of(block) == 0 && block.columns % window_of(block) == 0;
}

/// Of its dataset: those of the tensor where it is a box of it, else rows and columns.
hdf5::Extents extents_of(const Block& block) {
  hdf5::Extents extents{static_cast<hsize_t>(block.rows)};
  if (block.shape.rank() == 1) return extents;
  if (!has_whole_windows(block)) {
    extents.push_back(static_cast<hsize_t>(block.columns));
    return extents;
  }
  extents.push_back(static_cast<hsize_t>(block.columns / window_of(block)));
  for (std::size_t i = 2; i < block.shape.rank(); ++i)
    extents.push_back(static_cast<hsize_t>(block.shape[i]));
  return extents;
}

/// Elements [begin, end) of a tensor, row by row, as boxes in that order: the end of a slab, whole slabs, the
/// beginning of a slab, in each dimension. `at`: where the dimensions before `from` are.
void add_boxes(std::vector<hdf5::Box>& boxes, const hdf5::Extents& shape, std::size_t from, hdf5::Box at,
               hsize_t begin, hsize_t end) {
  hsize_t slab = 1;
  for (std::size_t i = from + 1; i < shape.size(); ++i)
    slab *= shape[i];
  while (begin < end) {
    auto box = at;
    const hsize_t index = begin / slab, within = begin % slab;
    box.start[from] = index;
    if (within == 0 && end - begin >= slab) {
      box.count[from] = (end - begin) / slab;
      for (std::size_t i = from + 1; i < shape.size(); ++i)
        box.start[i] = 0, box.count[i] = shape[i];
      begin += box.count[from] * slab;
      boxes.push_back(std::move(box));
      continue;
    }
    const hsize_t stop = std::min(end - index * slab, slab);
    box.count[from] = 1;
    add_boxes(boxes, shape, from + 1, std::move(box), within, stop);
    begin = index * slab + stop;
  }
}

/// What a view shows of a block.
std::vector<hdf5::VirtualPart> parts_of(const Block& block, const hdf5::VirtualPart& of_block) {
  const auto& shape = block.shape.extents();
  const hdf5::Extents whole(shape.begin(), shape.end());
  const hdf5::Extents extents = extents_of(block), origin(extents.size(), 0);
  auto part = of_block;
  part.extents = extents;
  if (has_whole_windows(block)) {
    part.source = {origin, extents};
    part.shown = {hdf5::Extents(whole.size(), 0), extents};
    part.shown.start[0] = static_cast<hsize_t>(block.first_row);
    if (whole.size() > 1) part.shown.start[1] = static_cast<hsize_t>(block.first_column / window_of(block));
    return {part};
  }
  std::vector<hdf5::VirtualPart> parts;
  const std::int64_t columns = block.shape.elements().value() / block.shape[0];
  for (std::int64_t row = 0; row < block.rows; ++row) {
    const auto begin = static_cast<hsize_t>((block.first_row + row) * columns + block.first_column);
    std::vector<hdf5::Box> boxes;
    add_boxes(boxes, whole, 0, {hdf5::Extents(whole.size(), 0), hdf5::Extents(whole.size(), 1)}, begin,
              begin + static_cast<hsize_t>(block.columns));
    hsize_t column = 0;
    for (auto& box : boxes) {
      hsize_t elements = 1;
      for (const auto count : box.count)
        elements *= count;
      part.source = {{static_cast<hsize_t>(row), column}, {1, elements}};
      part.shown = std::move(box);
      parts.push_back(part);
      column += elements;
    }
  }
  return parts;
}

hdf5::Group group_in(hid_t parent, const std::string& name) {
  return hdf5::exists(parent, name) ? hdf5::open_group(parent, name) : hdf5::create_group(parent, name);
}

/// What is missing of the path is created.
hdf5::Group group_at(const hdf5::File& file, const GroupPath& path) {
  auto group = group_in(file.id(), path.front());
  for (std::size_t i = 1; i < path.size(); ++i)
    group = group_in(group.get(), path[i]);
  return group;
}

hdf5::Dataset create_block(const hdf5::File& file, const GroupPath& path, const Block& block,
                           kernels::DataType type) {
  const auto all = group_at(file, path);
  const auto layer = group_in(all.get(), block.layer);
  auto dataset = hdf5::create_tensor(layer.get(), block.dataset(), type, extents_of(block), slice_bytes);
  hdf5::write_attribute(dataset.get(), "shape", to_string(block.shape));
  hdf5::write_attribute(dataset.get(), "first_row", block.first_row);
  hdf5::write_attribute(dataset.get(), "first_column", block.first_column);
  return dataset;
}

base::Sliced write_block(const hdf5::File& file, GroupPath path, Block block, kernels::ConstView values) {
  const auto dataset = create_block(file, path, block, values.type());
  const auto row_bytes = static_cast<std::size_t>(block.columns) * kernels::size_of(values.type());
  const auto rows_at_once = static_cast<std::int64_t>(std::max<std::size_t>(1, slice_bytes / row_bytes));
  for (std::int64_t row = 0; row < block.rows; row += rows_at_once) {
    const auto rows = std::min(rows_at_once, block.rows - row);
    hdf5::write_rows(dataset, row, rows,
                     values.slice(Elements(row * block.columns), Elements(rows * block.columns)));
    co_yield base::next_slice;
  }
}

/// As one vector: its block says of what it is.
base::Sliced write_carried(const hdf5::File& file, CarriedBlock carried) {
  const auto layer = group_in(group_at(file, path_of(carried.kind)).get(), carried.block.layer);
  const auto n = carried.values.size().value();
  const auto dataset = hdf5::create_tensor(layer.get(), carried.block.dataset(), carried.values.type(),
                                           {static_cast<hsize_t>(n)}, slice_bytes);
  const auto at_once = static_cast<std::int64_t>(slice_bytes) / kernels::size_of(carried.values.type());
  for (std::int64_t i = 0; i < n; i += at_once) {
    const auto count = std::min(at_once, n - i);
    hdf5::write_rows(dataset, i, count, carried.values.slice(Elements(i), Elements(count)));
    co_yield base::next_slice;
  }
}

/// Whole tensors over the files of the blocks.
void create_views(const hdf5::File& file, const Manifest& manifest, const GroupPath& path,
                  bool trained_only) {
  std::map<std::pair<std::string, std::string>, std::vector<std::size_t>> tensors;
  for (std::size_t b = 0; b < manifest.blocks.size(); ++b)
    if (manifest.blocks[b].trained || !trained_only)
      tensors[{manifest.blocks[b].layer, manifest.blocks[b].name}].push_back(b);
  if (tensors.empty()) return;
  const auto all = group_at(file, path);
  std::string place;
  for (const auto& group : path)
    place += "/" + group;
  for (const auto& [name, blocks] : tensors) {
    std::vector<hdf5::VirtualPart> parts;
    for (const auto b : blocks) {
      const auto& block = manifest.blocks[b];
      const auto of_block =
          parts_of(block, {.shown = {},
                           .file = manifest.shards[static_cast<std::size_t>(block.file)].name,
                           .path = place + "/" + name.first + "/" + block.dataset(),
                           .extents = {},
                           .source = {}});
      parts.insert(parts.end(), of_block.begin(), of_block.end());
    }
    const auto& shape = manifest.blocks[blocks.front()].shape;
    const auto layer = group_in(all.get(), name.first);
    hdf5::create_virtual(layer.get(), name.second, manifest.type,
                         {shape.extents().begin(), shape.extents().end()}, parts);
  }
}

std::vector<std::byte> image_of(const Manifest& manifest) {
  return build_image("checkpoint", [&](const hdf5::File& file) {
    GroupWriter root(hdf5::open_group(file.id(), "/"));
    exchange_manifest(root, manifest);
    create_views(file, manifest, path_of_weights(), false);
    for (const auto& state : manifest.states)
      create_views(file, manifest, path_of_state(state), true);
  });
}

}  // namespace

base::Sliced write_image(fs::path path, std::vector<std::byte> image, StoredFile& stored) {
  Temporary temporary{temporary_of(path)};
  auto file = create_file(temporary.path);
  base::Sha256 sum;
  for (std::span<const std::byte> rest = image; !rest.empty();) {
    const auto slice = rest.first(std::min(slice_bytes, rest.size()));
    sum.update(slice);
    write_all(file, slice, temporary.path);
    rest = rest.subspan(slice.size());
    co_yield base::next_slice;
  }
  for (auto sync = beside([&] { sync_file(file, temporary.path); }); !sync.advance();)
    co_yield base::next_slice;
  close_checked(file, temporary.path);
  if (::rename(temporary.path.c_str(), path.c_str()) != 0)
    refuse("rename " + temporary.path.string() + " to", path);
  temporary.exists = false;
  for (auto sync = beside([&] { sync_folder(folder_of(path)); }); !sync.advance();)
    co_yield base::next_slice;
  stored = {.name = path.filename().string(),
            .bytes = Bytes(static_cast<std::int64_t>(image.size())),
            .sha256 = sum.hex()};
}

base::Sliced write_shard(fs::path folder, int rank, std::vector<std::string> states,
                         std::vector<FilledBlock> blocks, std::vector<CarriedBlock> carried,
                         StoredFile& stored) {
  Bytes expected(least_shard);
  for (const auto& block : carried)
    expected += block.values.bytes();
  for (const auto& block : blocks)
    expected += block.weights.bytes() * (1 + std::ssize(block.states));
  auto file = hdf5::File::create(static_cast<std::size_t>(expected.value()));
  sign(file, "checkpoint shard");
  for (const auto& block : blocks) {
    for (auto part = write_block(file, path_of_weights(), block.block, block.weights); !part.advance();)
      co_yield base::next_slice;
    for (std::size_t s = 0; s < block.states.size(); ++s)
      for (auto part = write_block(file, path_of_state(states[s]), block.block, block.states[s]);
           !part.advance();)
        co_yield base::next_slice;
  }
  for (const auto& block : carried)
    for (auto part = write_carried(file, block); !part.advance();)
      co_yield base::next_slice;
  const auto path = folder / ("shard-" + std::to_string(rank) + ".h5");
  for (auto part = write_image(path, file.close(), stored); !part.advance();)
    co_yield base::next_slice;
}

base::Sliced write_manifest(fs::path folder, Manifest manifest) {
  StoredFile stored;
  for (auto part = write_image(folder / "manifest.h5", image_of(manifest), stored); !part.advance();)
    co_yield base::next_slice;
}

}  // namespace partita::results
