#include "engine/ports/file.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "wire/base/check.h"

namespace bib::engine {

using wire::Result;

AlignedBuffer::AlignedBuffer(std::size_t size) : size_(size) {
  const std::size_t rounded = (size + kAlignment - 1) / kAlignment * kAlignment;
  if (rounded == 0) return;
  data_ = static_cast<std::uint8_t*>(std::aligned_alloc(kAlignment, rounded));
  BIB_CHECK(data_ != nullptr, "out of memory for {} bytes", rounded);
  std::memset(data_, 0, rounded);
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

AlignedBuffer::~AlignedBuffer() {
  std::free(data_);
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
