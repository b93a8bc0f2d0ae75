#include "wire/peer/join_token.h"

#include <nlohmann/json.hpp>

#include "wire/base/address.h"
#include "wire/base/secret.h"
#include "wire/base/text.h"
#include "wire/base/time_text.h"

namespace bib::wire {
namespace {

constexpr std::size_t kTextSizeMax = 8192;
constexpr std::string_view kBlanks = " \t\r\n";

template <typename... Args>
tl::unexpected<Error> bad_token(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kUnauthenticated,
              "the join token is damaged: {}; copy it again, whole, or make a new one with `bib "
              "cluster token create`",
              fmt::format(format, std::forward<Args>(args)...));
}

// Base64 has none: a mail or a YAML block may have put them between its characters.
std::string without_blanks(std::string_view text) {
  std::string rest(text);
  std::erase_if(rest, [](char c) { return kBlanks.find(c) != std::string_view::npos; });
  return rest;
}

Result<std::string> take_text(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return bad_token("the field '{}' is missing", key);
  if (!found->is_string()) return bad_token("the field '{}' is not text", key);
  std::string text = found->get<std::string>();
  if (text.empty()) return bad_token("the field '{}' is empty", key);
  return text;
}

}  // namespace

Status check_cluster_name(std::string_view name) {
  if (name.empty()) return fail(ErrorCode::kInvalid, "is empty");
  if (name.size() > kClusterNameSizeMax) {
    return fail(ErrorCode::kInvalid, "has {} bytes and may have at most {}", name.size(),
                kClusterNameSizeMax);
  }
  if (!is_valid_utf8(name)) return fail(ErrorCode::kInvalid, "is not valid UTF-8");
  if (has_control_characters(name)) {
    return fail(ErrorCode::kInvalid, "has a control character (such as a line break)");
  }
  return {};
}

std::string encode_join_token(const JoinToken& token) {
  const nlohmann::ordered_json object = {{"cluster_name", token.cluster_name},
                                         {"leader_addr", token.leader_addr},
                                         {"token", token.token},
                                         {"expires_at", format_time(token.expires_at)}};
  return base64_encode(
      as_bytes(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)));
}

Result<JoinToken> decode_join_token(std::string_view given) {
  if (given.size() > 2 * kTextSizeMax) return bad_token("{} characters are too many", given.size());
  const std::string text = without_blanks(given);
  if (text.empty()) return bad_token("it is empty");
  if (text.size() > kTextSizeMax) return bad_token("{} characters are too many", text.size());
  const auto bytes = base64_decode(text);
  if (!bytes) return bad_token("{}", bytes.error().message);
  const auto object = nlohmann::json::parse(bytes->begin(), bytes->end(), nullptr, false);
  if (!object.is_object()) return bad_token("its content is not a JSON object");
  JoinToken token;
  BIB_TRY(token.cluster_name, take_text(object, "cluster_name"));
  if (auto named = check_cluster_name(token.cluster_name); !named) {
    return bad_token("cluster_name {}", named.error().message);
  }
  BIB_TRY(token.leader_addr, take_text(object, "leader_addr"));
  BIB_TRY(token.token, take_text(object, "token"));
  BIB_TRY(const std::string expires_at, take_text(object, "expires_at"));
  const auto address = parse_address(token.leader_addr);
  if (!address) return bad_token("leader_addr: {}", address.error().message);
  if (address->port == 0) return bad_token("leader_addr: '{}' has no port", token.leader_addr);
  if (is_wildcard(address->host)) {
    return bad_token("leader_addr: '{}' is every interface, which cannot be dialled",
                     token.leader_addr);
  }
  const auto time = parse_time(expires_at);
  if (!time) return bad_token("expires_at: '{}' is not a time in UTC (RFC 3339)", expires_at);
  token.expires_at = *time;
  return token;
}

bool is_expired(const JoinToken& token, std::int64_t now_us) {
  return now_us >= token.expires_at;
}

}  // namespace bib::wire
