#include "engine/uv/send_queue.h"

#include "wire/base/check.h"

namespace bib::engine {
namespace {

// Small pieces share a chunk up to this size.
constexpr std::size_t kChunkSize = 64U << 10;

}  // namespace

wire::ByteView SendQueue::Chunk::rest() const {
  const wire::ByteView all = shared.empty() ? wire::ByteView(own) : shared.view();
  return all.subspan(offset);
}

void SendQueue::append(std::span<const wire::ByteView> parts) {
  std::size_t size = 0;
  for (const wire::ByteView part : parts) size += part.size();
  if (size == 0) return;
  std::vector<std::uint8_t>& own = tail(size);
  for (const wire::ByteView part : parts) own.insert(own.end(), part.begin(), part.end());
  bytes_ += size;
}

void SendQueue::append(const wire::Bytes& shared) {
  if (shared.empty()) return;
  chunks_.push_back(Chunk{{}, shared, 0});
  bytes_ += shared.size();
}

// A chunk that is gathered must not be appended to: its buffer could move.
std::vector<std::uint8_t>& SendQueue::tail(std::size_t more) {
  if (chunks_.size() == gathered_chunks_ || !chunks_.back().shared.empty() ||
      chunks_.back().own.size() + more > kChunkSize) {
    chunks_.emplace_back();
    chunks_.back().own.reserve(more > kChunkSize ? more : kChunkSize / 4);
  }
  return chunks_.back().own;
}

SendQueue::Front SendQueue::gather() {
  BIB_CHECK(!is_empty() && !is_gathered());
  Front front;
  for (const Chunk& chunk : chunks_) {
    if (front.count == kPiecesMax) break;
    const wire::ByteView rest = chunk.rest();
    // libuv reads from it only.
    auto* base = reinterpret_cast<char*>(const_cast<std::uint8_t*>(rest.data()));
    front.pieces.at(front.count++) = uv_buf_init(base, static_cast<unsigned>(rest.size()));
    gathered_bytes_ += rest.size();
  }
  gathered_chunks_ = front.count;
  return front;
}

void SendQueue::release(std::size_t left) {
  BIB_CHECK(left <= gathered_bytes_);
  gathered_chunks_ = 0;
  gathered_bytes_ = 0;
  bytes_ -= left;
  while (left > 0) {
    Chunk& first = chunks_.front();
    const std::size_t rest = first.rest().size();
    if (left < rest) {
      first.offset += left;
      return;
    }
    left -= rest;
    chunks_.pop_front();
  }
}

}  // namespace bib::engine
