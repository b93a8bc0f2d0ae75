#include "wire/base/frame.h"

#include <algorithm>
#include <cstring>

#include "wire/base/check.h"
#include "wire/base/checksum.h"
#include "wire/base/little_endian.h"

namespace bib::wire {
namespace {

constexpr std::uint8_t kFrameVersion = 1;
constexpr std::size_t kChecksumOffset = 24;
// Larger bodies are received in place; up to here one copy out of the buffer costs less than the
// system calls that its alternative would take.
constexpr std::size_t kLargeBodyFrom = 32U << 10;

template <typename... Args>
tl::unexpected<Error> bad_frame(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kInvalid, "not a valid frame: {}",
              fmt::format(format, std::forward<Args>(args)...));
}

std::uint32_t body_size(const std::uint8_t* header) {
  return load_u32(header + 8);
}

Status check_checksum(const std::uint8_t* header, ByteView body) {
  const std::uint64_t checksum = checksum64_of_two({header, kChecksumOffset}, body);
  if (checksum == load_u64(header + kChecksumOffset)) return {};
  return bad_frame("checksum {:016x}, the bytes give {:016x}", load_u64(header + kChecksumOffset),
                   checksum);
}

Frame make_frame(const std::uint8_t* header, Bytes body) {
  return {.kind = static_cast<FrameKind>(header[5]),
          .id = load_u64(header + 16),
          .body = std::move(body)};
}

}  // namespace

FrameHeaderBytes make_frame_header(FrameKind kind, std::uint64_t id,
                                   std::span<const ByteView> pieces) {
  std::size_t size = 0;
  for (const ByteView piece : pieces) size += piece.size();
  BIB_CHECK(size <= kPeerFrameBodyMax, "a frame's body of {} bytes", size);
  FrameHeaderBytes header{};
  store(header.data(), kFrameMagic);
  header[4] = kFrameVersion;
  header[5] = static_cast<std::uint8_t>(kind);
  store(header.data() + 8, static_cast<std::uint32_t>(size));
  store(header.data() + 16, id);
  const std::uint64_t checksum = checksum64_of_pieces({header.data(), kChecksumOffset}, pieces);
  store(header.data() + kChecksumOffset, checksum);
  return header;
}

void append_frame(std::vector<std::uint8_t>& out, FrameKind kind, std::uint64_t id, ByteView body) {
  const FrameHeaderBytes header = make_frame_header(kind, id, {&body, 1});
  out.insert(out.end(), header.begin(), header.end());
  out.insert(out.end(), body.begin(), body.end());
}

FrameDecoder::FrameDecoder(std::uint32_t body_size_max) : body_size_max_(body_size_max) {}

std::span<std::uint8_t> FrameDecoder::prepare(std::size_t size_hint) {
  if (large_ && large_->received < large_->body.size()) {
    return {large_->body.data() + large_->received, large_->body.size() - large_->received};
  }
  const std::size_t wanted = std::max<std::size_t>(size_hint, 1);
  if (begin_ == end_) begin_ = end_ = 0;
  if (buffer_.size() - end_ < wanted && begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ < wanted) buffer_.resize(std::max(end_ + wanted, 2 * buffer_.size()));
  return {buffer_.data() + end_, buffer_.size() - end_};
}

void FrameDecoder::commit(std::size_t size) {
  if (large_ && large_->received < large_->body.size()) {
    BIB_CHECK(size <= large_->body.size() - large_->received);
    large_->received += size;
    return;
  }
  BIB_CHECK(size <= buffer_.size() - end_);
  end_ += size;
}

void FrameDecoder::feed(ByteView bytes) {
  while (!bytes.empty()) {
    const std::span<std::uint8_t> room = prepare(bytes.size());
    const std::size_t size = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), size);
    commit(size);
    bytes = bytes.subspan(size);
  }
}

Result<std::optional<Frame>> FrameDecoder::next() {
  if (failure_) return tl::unexpected(*failure_);
  auto frame = large_ ? take_large_body() : take_from_buffer();
  if (!frame) {
    failure_ = frame.error();
    large_.reset();
    buffer_ = {};
    begin_ = end_ = 0;
  }
  return frame;
}

Result<std::optional<Frame>> FrameDecoder::take_large_body() {
  if (large_->received < large_->body.size()) return std::nullopt;
  const FrameHeaderBytes header = large_->header;
  Bytes body(std::move(large_->body));
  large_.reset();
  BIB_TRY_VOID(check_checksum(header.data(), body.view()));
  return make_frame(header.data(), std::move(body));
}

Result<std::optional<Frame>> FrameDecoder::take_from_buffer() {
  const std::uint8_t* header = buffer_.data() + begin_;
  const std::size_t available = end_ - begin_;
  // A peer with another protocol is told so before a whole header has come.
  if (available >= 4 && load_u32(header) != kFrameMagic) {
    return bad_frame("magic {:08x}; the other side speaks another protocol", load_u32(header));
  }
  if (available < kFrameHeaderSize) return std::nullopt;
  BIB_TRY_VOID(check_header(header));
  const std::size_t size = body_size(header);
  const ByteView body{header + kFrameHeaderSize, std::min(available - kFrameHeaderSize, size)};
  if (body.size() == size) {
    BIB_TRY_VOID(check_checksum(header, body));
    Frame frame = make_frame(header, Bytes::copy_of(body));
    begin_ += kFrameHeaderSize + size;
    return frame;
  }
  if (size >= kLargeBodyFrom) {
    // Memory for the claimed size, but no page of it is touched before its bytes have come.
    large_.emplace(LargeBody{.header = {}, .body = Bytes::Builder(size), .received = body.size()});
    std::memcpy(large_->header.data(), header, kFrameHeaderSize);
    if (!body.empty()) std::memcpy(large_->body.data(), body.data(), body.size());
    begin_ = end_ = 0;
  }
  return std::nullopt;
}

Status FrameDecoder::check_header(const std::uint8_t* header) const {
  if (header[4] != kFrameVersion) return bad_frame("version {} is unknown", header[4]);
  if (load_u16(header + 6) != 0) return bad_frame("bytes 6 and 7 are not zero");
  if (load_u32(header + 12) != 0) return bad_frame("bytes 12 to 15 are not zero");
  if (body_size(header) > body_size_max_) {
    return bad_frame("a body of {} bytes is above the limit of {}", body_size(header),
                     body_size_max_);
  }
  return {};
}

std::size_t FrameDecoder::buffered() const {
  return end_ - begin_ + (large_ ? kFrameHeaderSize + large_->received : 0);
}

}  // namespace bib::wire
