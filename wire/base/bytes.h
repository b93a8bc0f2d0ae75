// Bytes: shared, immutable, 64-byte-aligned buffers.
//
// One encoding serves the peers, the disk and the history: each user of the bytes holds a Bytes,
// which is a reference-counted view. Copying a Bytes copies a pointer and is safe across threads;
// the content never changes after make().
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace bib::wire {

using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Whether all of them are zero; true for none.
bool is_zero(ByteView bytes);

class Bytes {
 public:
  Bytes() = default;

  // A buffer that only the caller sees yet; freeze it by moving it into Bytes.
  class Builder {
   public:
    explicit Builder(std::size_t size);
    std::uint8_t* data() { return data_.get(); }
    std::size_t size() const { return size_; }

   private:
    friend class Bytes;
    std::shared_ptr<std::uint8_t[]> data_;
    std::size_t size_ = 0;
  };

  explicit Bytes(Builder&& builder);
  static Bytes copy_of(ByteView view);

  ByteView view() const { return {data_, size_}; }
  const std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // A part that shares the same storage.
  Bytes slice(std::size_t offset, std::size_t size) const;

 private:
  std::shared_ptr<const std::uint8_t[]> owner_;
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace bib::wire
