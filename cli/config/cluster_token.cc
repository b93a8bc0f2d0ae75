#include "cli/config/cluster_token.h"

#include <chrono>

#include "cli/print/units.h"
#include "wire/base/bytes.h"
#include "wire/base/secret.h"
#include "wire/base/time_text.h"

namespace bib::cli {
namespace {

std::int64_t now_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

}  // namespace

NewToken make_token(const std::string& cluster_name, const std::string& leader_address,
                    std::uint64_t lifetime_ms) {
  std::array<std::uint8_t, 32> secret;
  wire::random_bytes(secret);
  wire::JoinToken token;
  token.cluster_name = cluster_name;
  token.leader_addr = leader_address;
  token.token = wire::to_hex(secret.data(), secret.size());
  token.expires_at = now_us() + static_cast<std::int64_t>(lifetime_ms) * 1000;
  return {wire::encode_join_token(token), wire::sha256(wire::as_bytes(token.token)),
          token.expires_at};
}

wire::Result<wire::JoinToken> read_token(std::string_view text) {
  BIB_TRY(wire::JoinToken token, wire::decode_join_token(text));
  if (wire::is_expired(token, now_us())) {
    return wire::fail(wire::ErrorCode::kUnauthenticated, "the join token expired at {}",
                      wire::format_time(token.expires_at));
  }
  return token;
}

wire::NodeId random_node_id() {
  for (;;) {
    std::uint64_t value = 0;
    std::array<std::uint8_t, sizeof value> bytes;
    wire::random_bytes(bytes);
    for (const std::uint8_t byte : bytes) value = value << 8 | byte;
    if (value != 0) return wire::NodeId(value);
  }
}

}  // namespace bib::cli
