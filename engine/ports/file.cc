#include "engine/ports/file.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "wire/base/check.h"
#include "wire/base/little_endian.h"

namespace bib::engine {

using wire::Result;

AlignedBuffer::AlignedBuffer(std::size_t size) : size_(size) {
  if (size == 0) return;
  const std::size_t rounded = wire::round_up(size, kAlignment);
  memory_ = std::aligned_alloc(kAlignment, rounded);
  BIB_CHECK(memory_ != nullptr, "out of memory for {} bytes", rounded);
  data_ = static_cast<std::uint8_t*>(std::memset(memory_, 0, rounded));
}

AlignedBuffer AlignedBuffer::untouched(std::size_t size) {
  AlignedBuffer buffer;
  std::size_t space = size + kAlignment;
  buffer.memory_ = std::calloc(space, 1);
  BIB_CHECK(buffer.memory_ != nullptr, "out of memory for {} bytes", space);
  void* first = buffer.memory_;
  buffer.data_ = static_cast<std::uint8_t*>(std::align(kAlignment, size, first, space));
  buffer.size_ = size;
  return buffer;
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

AlignedBuffer::~AlignedBuffer() {
  std::free(memory_);
}

wire::Status remove_if_there(FileSystem& files, const std::string& path) {
  wire::Status removed = files.remove(path);
  if (removed) return removed;
  const auto kind = files.kind(path);
  return kind && *kind == wire::FileKind::kAbsent ? wire::Status() : removed;
}

Result<bool> has_name(FileSystem& files, const std::string& directory, std::string_view name) {
  BIB_TRY(const auto names, files.list(directory));
  return std::binary_search(names.begin(), names.end(), name);
}

}  // namespace bib::engine
