// JoinToken: what a new node is given so that it finds a cluster and may join it.
//
// As text it is base64 of a JSON object with the keys cluster_name, leader_addr, token and
// expires_at (RFC 3339, UTC). Anyone who holds the text can join: it is a secret. Values only; the
// clock is the caller's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/base/result.h"

namespace bib::wire {

inline constexpr std::size_t kClusterNameSizeMax = 256;

// 1 to kClusterNameSizeMax bytes of UTF-8 without control characters: nodes greet each other and
// their clients with it, and people read it. kInvalid says in half a sentence what is wrong.
Status check_cluster_name(std::string_view name);

struct JoinToken {
  std::string cluster_name;
  std::string leader_addr;      // "host:port" of a member's raft address
  std::string token;            // the secret; the log holds only its SHA-256
  std::int64_t expires_at = 0;  // microseconds since 1970-01-01 UTC

  bool operator==(const JoinToken&) const = default;
};

std::string encode_join_token(const JoinToken& token);

// kUnauthenticated says what is wrong with the text. White space around it is no damage; whether it
// has expired is not looked at.
Result<JoinToken> decode_join_token(std::string_view text);

bool is_expired(const JoinToken& token, std::int64_t now_us);

}  // namespace bib::wire
