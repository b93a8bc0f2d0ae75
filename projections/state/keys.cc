#include "projections/state/keys.h"

#include <algorithm>
#include <initializer_list>

namespace bib::projections::keys {

namespace {

std::string join(std::initializer_list<std::string_view> parts) {
  std::size_t size = 0;
  for (const auto part : parts) size += part.size();
  std::string key;
  key.reserve(size);
  for (const auto part : parts) key.append(part);
  return key;
}

std::string_view tag(const char& letter) {
  return {&letter, 1};
}

constexpr std::string_view kSeparator{"\0", 1};
constexpr std::size_t kClientSize = 16;
constexpr std::size_t kSessionSize = kClientSize + 8;

}  // namespace

std::string_view applied() {
  return "applied";
}
std::string_view owner() {
  return "owner";
}
std::string digest(std::string_view projection) {
  return join({"digest/", projection});
}
std::string version(std::string_view projection) {
  return join({"version/", projection});
}

std::string session(const wire::ClientId& client, wire::RequestSequence sequence) {
  std::string key(kSessionSize, '\0');
  std::copy(client.bytes.begin(), client.bytes.end(), key.begin());
  for (std::size_t i = 0; i < 8; ++i) {
    key[kClientSize + i] = static_cast<char>(sequence.value() >> (56 - 8 * i));
  }
  return key;
}

std::string session_floor(const wire::ClientId& client) {
  return session(client, wire::RequestSequence(0));
}

std::optional<SessionKeyParts> parse_session(std::string_view key) {
  if (key.size() != kSessionSize) return std::nullopt;
  SessionKeyParts parts;
  const wire::ByteView bytes = wire::as_bytes(key);
  std::copy_n(bytes.begin(), kClientSize, parts.client.bytes.begin());
  std::uint64_t sequence = 0;
  for (std::size_t i = kClientSize; i < kSessionSize; ++i) sequence = sequence << 8 | bytes[i];
  parts.sequence = wire::RequestSequence(sequence);
  return parts;
}

std::string_view topic(std::string_view path) {
  return path;
}

std::string dataset(std::string_view topic, std::string_view name) {
  return join({tag(kDatasetTag), topic, kSeparator, name});
}

std::string dataset_version(std::string_view topic, std::string_view dataset,
                            std::string_view version) {
  return join({tag(kDatasetVersionTag), topic, kSeparator, dataset, kSeparator, version});
}

std::string dataset_count(std::string_view topic) {
  return join({tag(kDatasetCountTag), topic});
}

std::string task_version(std::string_view name, std::string_view version) {
  return join({tag(kTaskVersionTag), name, kSeparator, version});
}

std::string task_head(std::string_view name) {
  return join({tag(kTaskHeadTag), name});
}

std::string_view job(std::string_view id) {
  return id;
}

std::string config(std::string_view key) {
  return join({tag(kConfigTag), key});
}
std::string config_gone(std::string_view key) {
  return join({tag(kConfigGoneTag), key});
}

std::string join_token(wire::ByteView secret_sha256) {
  return join({tag(kJoinTokenTag), wire::as_text(secret_sha256)});
}

void append_u64(std::string& out, std::uint64_t value) {
  for (std::size_t i = 0; i < 8; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

void append_u32(std::string& out, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

std::uint64_t read_u64(wire::ByteView bytes, std::size_t offset) {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) value = value << 8 | bytes[offset + i];
  return value;
}

std::uint32_t read_u32(wire::ByteView bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | bytes[offset + i];
  return value;
}

}  // namespace bib::projections::keys
