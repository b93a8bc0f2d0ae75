// What an append brings, read before any of it is logged, acknowledged or believed; and how much
// that may be.
//
// Pure functions. Decoding has checked the entries' headers, checksums and order (peer_message.h);
// this decompresses them and verifies each event, which would end the node when it is applied. It
// costs the follower that work a second time. An event of a newer build is refused, too: so only
// what a majority can apply is committed.
#pragma once

#include <cstddef>
#include <span>

#include "wire/base/bytes.h"
#include "wire/base/result.h"
#include "wire/peer/peer_message.h"

namespace bib::engine {

// Of the decompressed bodies of an append's entries, without the last one: a megabyte of lz4 can
// hold 255 of them, and a follower reads it all in one turn.
inline constexpr std::size_t kAppendDecodedBytesMax = 64U << 20;

// How many of these entries one append may carry: at least one.
std::size_t entries_in_one_append(std::span<const wire::Bytes> entries);

// Reads the last `fresh` entries; the others are in the log, or do not enter it. kCorrupt, kInvalid
// (also: more than one append carries, nothing is decompressed then); kUnsupported: of a newer
// build.
wire::Status check_entries(const wire::PeerMessage& message, std::size_t fresh);

}  // namespace bib::engine
