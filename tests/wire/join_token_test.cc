#include "wire/peer/join_token.h"

#include <catch2/catch.hpp>

#include "wire/base/secret.h"

namespace bib::wire {
namespace {

const JoinToken kToken{.cluster_name = "library \"north\"",
                       .leader_addr = "10.0.0.1:4001",
                       .token = "c2VjcmV0",
                       .expires_at = 1'700'000'000'000'000};

std::string text_of(std::string_view json) {
  return base64_encode(as_bytes(json));
}

}  // namespace

TEST_CASE("a join token comes back from its text, with white space anywhere or without") {
  const std::string text = encode_join_token(kToken);
  CHECK(decode_join_token(text) == kToken);
  CHECK(decode_join_token("  " + text + "\r\n\t") == kToken);
  CHECK(decode_join_token(text.substr(0, 40) + "\n  " + text.substr(40)) == kToken);
}

TEST_CASE("a join token's text is base64 of JSON with four keys") {
  const auto bytes = base64_decode(encode_join_token(kToken));
  REQUIRE(bytes);
  CHECK(as_text(*bytes) == R"({"cluster_name":"library \"north\"","leader_addr":"10.0.0.1:4001",)"
                           R"("token":"c2VjcmV0","expires_at":"2023-11-14T22:13:20Z"})");
}

TEST_CASE("a join token that is damaged is refused with what is wrong and what to do") {
  const std::vector<std::pair<std::string, std::string>> faults = {
      {"", "empty"},
      {" \n", "empty"},
      {std::string(10'000, 'A'), "too many"},
      {"not base64!", "base64"},
      {encode_join_token(kToken).substr(1), "base64"},
      {text_of("not JSON"), "JSON"},
      {text_of("[]"), "JSON"},
      {text_of("{} {}"), "JSON"},
      {text_of("{}"), "'cluster_name' is missing"},
      {text_of(R"({"cluster_name":7})"), "'cluster_name' is not text"},
      {text_of(R"({"cluster_name":""})"), "'cluster_name' is empty"},
      {text_of(R"({"cluster_name":"c"})"), "'leader_addr' is missing"},
      {text_of(R"({"cluster_name":"c","leader_addr":"a:1"})"), "'token' is missing"},
      {text_of(R"({"cluster_name":"c","leader_addr":"a:1","token":"t"})"),
       "'expires_at' is missing"},
      {text_of(R"({"cluster_name":"c","leader_addr":"a","token":"t","expires_at":"x"})"),
       "leader_addr"},
      {text_of(R"({"cluster_name":"c","leader_addr":"a:0","token":"t","expires_at":"x"})"),
       "no port"},
      {text_of(R"({"cluster_name":"c","leader_addr":"a:1","token":"t","expires_at":"x"})"),
       "expires_at"}};
  for (const auto& [text, part] : faults) {
    const auto decoded = decode_join_token(text);
    INFO(text);
    REQUIRE_FALSE(decoded);
    INFO(decoded.error().message);
    CHECK(decoded.error().code == ErrorCode::kUnauthenticated);
    CHECK(decoded.error().message.find(part) != std::string::npos);
    CHECK(decoded.error().message.find("bib cluster token create") != std::string::npos);
  }
}

TEST_CASE("a join token expires at its time, not before") {
  CHECK_FALSE(is_expired(kToken, kToken.expires_at - 1));
  CHECK(is_expired(kToken, kToken.expires_at));
}

}  // namespace bib::wire
