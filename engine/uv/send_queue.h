// SendQueue: the bytes that wait to leave through a socket, in order.
//
// Small pieces are copied together into chunks, shared bytes are referred to. A write takes the
// front of the queue with gather(); until release() says how much of it has left, it stays where it
// is in memory, while more may be appended.
#pragma once

#include <uv.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "wire/base/bytes.h"

namespace bib::engine {

class SendQueue {
 public:
  // What one write takes: up to so many pieces.
  static constexpr std::size_t kPiecesMax = 64;
  struct Front {
    std::array<uv_buf_t, kPiecesMax> pieces;
    unsigned count = 0;
  };

  // Copied, next to each other.
  void append(std::span<const wire::ByteView> parts);
  // Not copied.
  void append(const wire::Bytes& shared);

  std::size_t bytes() const { return bytes_; }
  bool is_empty() const { return chunks_.empty(); }

  // Not empty, and nothing is gathered already.
  Front gather();
  bool is_gathered() const { return gathered_chunks_ > 0; }
  std::size_t gathered_bytes() const { return gathered_bytes_; }
  // The first `left` of the gathered bytes have left; the rest waits again.
  void release(std::size_t left);

 private:
  // Either a buffer of its own or a reference to shared bytes.
  struct Chunk {
    std::vector<std::uint8_t> own;
    wire::Bytes shared;
    std::size_t offset = 0;  // what comes before has left

    wire::ByteView rest() const;
  };

  std::vector<std::uint8_t>& tail(std::size_t more);

  std::deque<Chunk> chunks_;  // each with something left
  std::size_t bytes_ = 0;
  std::size_t gathered_chunks_ = 0;
  std::size_t gathered_bytes_ = 0;
};

}  // namespace bib::engine
