/// A CUDA device as the contract's: its memory, three streams, events, and graphs of captured work.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <cstdint>

#include "gemm/family.hpp"
#include "partita/kernels/device.hpp"

namespace partita::kernels::cuda {

/// Not thread-safe, as a back-end: one thread issues, waits and allocates.
class CudaDevice final : public kernels::Device {
 public:
  /// The device of this number; becomes the calling thread's current one. Throws std::runtime_error.
  explicit CudaDevice(int index);
  ~CudaDevice() override;
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  [[nodiscard]] bool is_host() const override { return false; }
  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] const gemm::Chip& chip() const { return chip_; }
  [[nodiscard]] cudaStream_t stream(Queue queue) const { return streams_[static_cast<std::size_t>(queue)]; }

  [[nodiscard]] std::byte* allocate(Bytes) override;
  void release(std::byte*) noexcept override;
  [[nodiscard]] std::byte* allocate_host(Bytes) override;
  void release_host(std::byte*) noexcept override;
  void pin(std::span<std::byte>) override;
  void unpin(std::byte*) noexcept override;
  [[nodiscard]] SharedMemory share(std::byte*) override;
  [[nodiscard]] std::byte* open(const SharedMemory&) override;
  void close(std::byte*) noexcept override;
  void add(Queue, View to, std::span<const ConstView> terms) override;

  void copy(Queue, View to, ConstView from) override;

  [[nodiscard]] std::unique_ptr<Event> make_event() override;
  void record(Event&, Queue) override;
  void after(const Event&, Queue) override;
  [[nodiscard]] bool reached(const Event&) override;
  [[nodiscard]] double seconds_between(const Event& from, const Event& to) override;
  void synchronize() override;

  [[nodiscard]] bool records() const override { return true; }
  void begin_recording() override;
  [[nodiscard]] std::unique_ptr<Graph> end_recording() override;
  void issue(Graph&) override;

  void begin_range(const char* name) override;
  void end_range() override;

 private:
  static constexpr std::size_t queues = 3;

  std::string name_;
  gemm::Chip chip_;
  std::array<cudaStream_t, queues> streams_{};
  /// Number of the recording that is under way, else 0; how many there were; and which queues have joined it.
  std::uint64_t recording_ = 0, recordings_ = 0;
  std::array<bool, queues> recorded_{};
};

}  // namespace partita::kernels::cuda
