// What nodes say to each other to carry a snapshot's bytes: a follower asks, a node that has the
// snapshot answers. The node that answers remembers nothing between two questions.
//
// Both are frames between nodes (frame.h, kinds kSnapshotRequest and kSnapshotPart), on the
// connection that the sender has dialled. A request is one FlatBuffers table (peer.fbs), a part a
// head like a peer message's (u32 size, table, padding to 8) and then the bytes that were asked
// for; the frame's checksum covers them. Files are named by their place in the manifest.
#pragma once

#include <cstdint>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/peer/peer_message.h"

namespace bib::wire {

inline constexpr std::uint32_t kSnapshotChunkMax = 1U << 20;

enum class SnapshotRequestKind : std::uint8_t {
  kManifest = 1,   // the whole manifest
  kChunk = 2,      // `length` bytes of file number `file` at `offset`
  kStillBusy = 3,  // no question: what has been fetched is being checked and put in place
  kInstalled = 4,  // no question: it is in place
  kGivenUp = 5,    // no question: it cannot be used here; `problem` says what came was wrong
};

// Of what came, as far as it is not this side's. The one who sent it looks for itself.
enum class SnapshotProblem : std::uint8_t {
  kNone = 0,      // nothing is wrong with it
  kManifest = 1,  // its manifest
  kFile = 2,      // file number `file`: it came with `checksum`, or shorter than the manifest says
  kRows = 3,      // the files are as the manifest says, the rows in them are not
};

struct SnapshotRequest {
  Envelope envelope;
  NodeId from;
  NodeId to;
  std::uint64_t id = 0;  // the asker's; repeated in the part
  LogIndex index;        // which snapshot
  Term term;
  SnapshotRequestKind kind = SnapshotRequestKind::kManifest;
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;                          // kChunk: 1 to kSnapshotChunkMax
  SnapshotProblem problem = SnapshotProblem::kNone;  // kGivenUp
  std::uint64_t checksum = 0;                        // kFile; 0: it came shorter
};

enum class SnapshotPartStatus : std::uint8_t {
  kHere = 0,
  kGone = 1,    // this node has no such snapshot (any more)
  kBusy = 2,    // too many questions at once: ask again
  kFailed = 3,  // it could not be read
};

struct SnapshotPart {
  Envelope envelope;
  NodeId from;
  NodeId to;
  std::uint64_t id = 0;
  LogIndex index;
  Term term;
  SnapshotRequestKind kind = SnapshotRequestKind::kManifest;
  SnapshotPartStatus status = SnapshotPartStatus::kHere;
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  Bytes bytes;  // kHere: the manifest, or the chunk, shorter where the file ends
};

std::vector<std::uint8_t> encode_snapshot_request(const SnapshotRequest& request);
// The frame's body up to the bytes, which follow it as they are.
std::vector<std::uint8_t> encode_snapshot_part_head(const SnapshotPart& part);

// kInvalid unless sender, addressee, snapshot, kinds and sizes are what they must be. A part's
// bytes share the body's storage.
Result<SnapshotRequest> decode_snapshot_request(ByteView body);
Result<SnapshotPart> decode_snapshot_part(const Bytes& body);

}  // namespace bib::wire
