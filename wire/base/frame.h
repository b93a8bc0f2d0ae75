// Frames: how messages are laid out in a byte stream, for clients and peers alike.
//
// Little-endian:
//   offset size  field
//        0    4  magic "BIBF"
//        4    1  version, 1
//        5    1  kind (FrameKind)
//        6    2  zero
//        8    4  body size, at most the decoder's limit
//       12    4  zero
//       16    8  id: a request's number, repeated in its replies; 0 where it has no meaning
//       24    8  xxh3-64 over bytes 0..23 and the body
//       32   ..  body
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/result.h"

namespace bib::wire {

enum class FrameKind : std::uint8_t {
  // between nodes (peer_message.h, peer_hello.h)
  kPeerHello = 1,
  kPeerHelloReply = 2,
  kPeerMessage = 3,
  kJoinRequest = 4,
  kJoinReply = 5,
  kSnapshotRequest = 6,  // snapshot_message.h
  kSnapshotPart = 7,
  kPeerProbe = 8,       // no body; the id comes back in the reply
  kPeerProbeReply = 9,  // no body
  // between a client and a node (client_message.h)
  kClientHello = 16,
  kServerHello = 17,
  kCommand = 18,
  kCommandReply = 19,
  kQuery = 20,
  kQueryReply = 21,
  kReadEvents = 22,
  kEventsReply = 23,
  kErrorReply = 24,
  kStatus = 25,
  kStatusReply = 26,
  kChangeMembership = 27,
  kChangeMembershipReply = 28,
  kTransferLeadership = 29,
  kTransferReply = 30,
  kSnapshots = 31,
  kSnapshotsReply = 32,
};

inline constexpr std::size_t kFrameHeaderSize = 32;
inline constexpr std::uint32_t kFrameMagic = 0x46424942;  // "BIBF" as little-endian
inline constexpr std::uint32_t kClientFrameBodyMax = 16U << 20;
inline constexpr std::uint32_t kPeerFrameBodyMax = 64U << 20;
// Of a stranger: greetings and their answers, requests to join, probes.
inline constexpr std::uint32_t kGreetingFrameBodyMax = 64U << 10;

using FrameHeaderBytes = std::array<std::uint8_t, kFrameHeaderSize>;

// The header for a body that is given in one or more pieces (they are summed in order). The pieces
// need not be copied together: write header and pieces with one gathering write.
FrameHeaderBytes make_frame_header(FrameKind kind, std::uint64_t id,
                                   std::span<const ByteView> pieces);
// Appends header and body to `out`.
void append_frame(std::vector<std::uint8_t>& out, FrameKind kind, std::uint64_t id, ByteView body);

struct Frame {
  FrameKind kind;
  std::uint64_t id = 0;
  Bytes body;  // 8-byte-aligned storage of its own, which a message may share
};

// Takes a stream in pieces of any size and gives whole, checked frames. After an error the stream
// is lost: close the connection. Memory is bounded by one body of the limit.
class FrameDecoder {
 public:
  explicit FrameDecoder(std::uint32_t body_size_max);
  // For the frames whose header has not been looked at yet.
  void set_body_size_max(std::uint32_t size) { body_size_max_ = size; }

  // The place where the next bytes of the stream should be written, and how many fit (not always
  // `size_hint`, never none); then say how many were written. Large bodies are received in place,
  // which begins once next() has seen their header: call next() until nullopt after each commit().
  std::span<std::uint8_t> prepare(std::size_t size_hint);
  void commit(std::size_t size);
  // prepare, copy, commit.
  void feed(ByteView bytes);

  // The next whole frame; nullopt: more bytes are needed; kInvalid: magic, version, zero fields,
  // size or checksum are wrong (the message says which).
  Result<std::optional<Frame>> next();

  // Bytes of the stream that next() has not given out; of these, those of a large body.
  std::size_t buffered() const;
  std::size_t large_body_bytes() const { return large_ ? large_->received : 0; }

 private:
  // A body too large for the buffer is received where it will stay. While one is under way, the
  // stream goes into it; what follows it goes into the buffer again.
  struct LargeBody {
    FrameHeaderBytes header;
    Bytes::Builder body;
    std::size_t received = 0;
  };

  Result<std::optional<Frame>> take_large_body();
  Result<std::optional<Frame>> take_from_buffer();
  Status check_header(const std::uint8_t* header) const;

  std::uint32_t body_size_max_;
  std::vector<std::uint8_t> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::optional<LargeBody> large_;
  std::optional<Error> failure_;
};

}  // namespace bib::wire
