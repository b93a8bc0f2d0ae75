// What an append brings, read before any of it is logged, acknowledged or believed.
//
// Pure functions. Decoding has checked the entries' headers, checksums and order (peer_message.h);
// this decompresses them and verifies each event, which would end the node when it is applied. It
// costs the follower that work a second time. An event of a newer build is refused, too: so only
// what a majority can apply is committed.
#pragma once

#include "wire/base/result.h"
#include "wire/peer/peer_message.h"

namespace bib::engine {

// kCorrupt, kInvalid; kUnsupported: of a newer build.
wire::Status check_entries(const wire::PeerMessage& message);

}  // namespace bib::engine
