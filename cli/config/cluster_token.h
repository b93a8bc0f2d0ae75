// Join tokens as the commands use them: made with a fresh secret, or taken from a person and
// checked before anything is asked of the network.
//
// Times are microseconds since 1970-01-01 UTC, lifetimes milliseconds. The secret is in the text
// only; the cluster keeps its SHA-256.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "wire/base/ids.h"
#include "wire/base/result.h"
#include "wire/peer/join_token.h"

namespace bib::cli {

struct NewToken {
  std::string text;
  std::array<std::uint8_t, 32> secret_sha256;
  std::int64_t expires_at_us = 0;
};
NewToken make_token(const std::string& cluster_name, const std::string& leader_address,
                    std::uint64_t lifetime_ms);

// kUnauthenticated: damaged or expired, with what to do. Blanks and line ends around it are no
// damage.
wire::Result<wire::JoinToken> read_token(std::string_view text);

// A new node's id: random, never 0.
wire::NodeId random_node_id();

}  // namespace bib::cli
