#include "wire/base/bytes.h"

#include <algorithm>

#include "wire/base/check.h"

namespace bib::wire {
namespace {

// Storage comes in whole lines, in one allocation with its reference count. Large buffers that
// are not 64-byte aligned meet a slow path of glibc's memcpy.
struct alignas(64) Line {
  std::uint8_t bytes[64];
};

}  // namespace

bool is_zero(ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

Bytes::Builder::Builder(std::size_t size) : size_(size) {
  if (size == 0) return;
  // Not zeroed: pages that are never written are never touched.
  auto lines = std::make_shared_for_overwrite<Line[]>((size + sizeof(Line) - 1) / sizeof(Line));
  std::uint8_t* data = lines[0].bytes;
  data_ = std::shared_ptr<std::uint8_t[]>(std::move(lines), data);
}

Bytes::Bytes(Builder&& builder)
    : owner_(std::move(builder.data_)), data_(owner_.get()), size_(builder.size_) {
  builder.size_ = 0;
}

Bytes Bytes::copy_of(ByteView view) {
  Builder builder(view.size());
  if (!view.empty()) std::memcpy(builder.data(), view.data(), view.size());
  return Bytes(std::move(builder));
}

Bytes Bytes::slice(std::size_t offset, std::size_t size) const {
  BIB_CHECK(offset <= size_ && size <= size_ - offset, "slice {}+{} of {} bytes", offset, size,
            size_);
  Bytes part;
  part.owner_ = owner_;
  part.data_ = data_ + offset;
  part.size_ = size;
  return part;
}

}  // namespace bib::wire
