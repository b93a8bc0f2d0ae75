#include "wire/log/snapshot_manifest.h"

#include <catch2/catch.hpp>

#include <cstring>

#include "damage.h"
#include "log_samples.h"
#include "wire/base/checksum.h"

namespace bib::wire {
namespace {

constexpr std::size_t kChecksumAt = 88;

SnapshotManifest sample() {
  SnapshotManifest manifest;
  manifest.cluster = sample_cluster();
  manifest.node = NodeId(0xabc);
  manifest.index = LogIndex(8192);
  manifest.term = Term(3);
  manifest.created_us = 1'700'000'000'000'000;
  manifest.membership_index = LogIndex(7);
  manifest.membership.voters = {NodeId(0xabc)};
  manifest.membership.members = {
      {.id = NodeId(0xabc), .raft_address = "a:1", .api_address = "a:2"}};
  manifest.projections = {{"sessions", 1, 10, 11, 12}, {"topics", 2, 20, 21, 22}};
  manifest.files = {
      {"000012.sst", 1000, 0x1234}, {"CURRENT", 16, 0x5678}, {"OPTIONS-000007", 0, 1}};
  return manifest;
}

// The bytes with a change, and a checksum that fits it.
template <typename Change>
std::vector<std::uint8_t> resealed(const Change& change) {
  std::vector<std::uint8_t> bytes = encode_snapshot_manifest(sample());
  change(bytes);
  const std::uint64_t zero = 0;
  std::memcpy(bytes.data() + kChecksumAt, &zero, sizeof zero);
  const std::uint64_t checksum = checksum64(bytes);
  std::memcpy(bytes.data() + kChecksumAt, &checksum, sizeof checksum);
  return bytes;
}

template <typename Number>
auto with(std::size_t offset, Number value) {
  return resealed([&](std::vector<std::uint8_t>& bytes) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
  });
}

std::string refusal(const std::vector<std::uint8_t>& bytes) {
  const auto decoded = decode_snapshot_manifest(bytes);
  REQUIRE_FALSE(decoded);
  return decoded.error().message;
}

bool mentions(const std::string& text, const char* part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

// Where the first file's item begins.
constexpr std::size_t kFirstFileAt = 96 + 2 * 40;

}  // namespace

TEST_CASE("a snapshot's manifest comes back with every field") {
  const SnapshotManifest manifest = sample();
  const auto bytes = encode_snapshot_manifest(manifest);
  CHECK(bytes.size() % 8 == 0);
  const auto decoded = decode_snapshot_manifest(bytes);
  REQUIRE(decoded);
  CHECK(*decoded == manifest);
  CHECK(decoded->bytes() == 1016);
  CHECK(encode_snapshot_manifest(*decoded) == bytes);
}

TEST_CASE("a manifest that is cut off anywhere, or has trailing bytes, is refused") {
  auto bytes = encode_snapshot_manifest(sample());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const ExactCopy cut(ByteView(bytes).first(size));
    CHECK_FALSE(decode_snapshot_manifest(cut.view()));
  }
  bytes.resize(bytes.size() + 8);
  CHECK(mentions(refusal(bytes), "bytes"));
}

TEST_CASE("a manifest with any bit flipped is refused") {
  const auto bytes = encode_snapshot_manifest(sample());
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    ExactCopy copy(bytes);
    copy.data()[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    CHECK_FALSE(decode_snapshot_manifest(copy.view()));
  }
}

TEST_CASE("a manifest of another version is no damage") {
  const auto decoded = decode_snapshot_manifest(with(8, std::uint32_t{2}));
  REQUIRE_FALSE(decoded);
  CHECK(decoded.error().code == ErrorCode::kUnsupported);
}

TEST_CASE("a manifest with a wrong field under a right checksum is refused and says which") {
  CHECK(mentions(refusal(with(0, std::uint64_t{0})), "does not begin"));
  CHECK(mentions(refusal(with(12, std::uint32_t{8})), "says that it has 8 bytes"));
  CHECK(mentions(refusal(with(32, std::uint64_t{0})), "no node"));
  CHECK(mentions(refusal(with(40, std::uint64_t{0})), "no entry"));
  CHECK(mentions(refusal(with(48, std::uint64_t{0})), "no entry"));
  CHECK(mentions(refusal(with(64, std::uint64_t{8193})), "after its last one"));
  CHECK(mentions(refusal(with(72, std::uint32_t{0})), "membership"));
  CHECK(mentions(refusal(with(72, std::uint32_t{0xfffffff8})), "membership"));
  CHECK(mentions(refusal(with(76, std::uint32_t{257})), "projections"));
  CHECK(mentions(refusal(with(76, std::uint32_t{3})), "name"));
  CHECK(mentions(refusal(with(80, std::uint32_t{0})), "files"));
  CHECK(mentions(refusal(with(80, std::uint32_t{65537})), "files"));
  CHECK_FALSE(refusal(with(80, std::uint32_t{4})).empty());
  CHECK(mentions(refusal(with(84, std::uint32_t{1})), "zero"));
  CHECK(mentions(refusal(with(100, std::uint32_t{0})), "name of 0 bytes"));
  CHECK(mentions(refusal(with(100, std::uint32_t{129})), "name of 129 bytes"));
  CHECK(mentions(refusal(with(kFirstFileAt + 16, std::uint32_t{0xffffffff})), "name of"));
  CHECK(mentions(refusal(with(kFirstFileAt + 20, std::uint32_t{1})), "zero"));
  CHECK(mentions(refusal(with(kFirstFileAt + 24 + 10, std::uint16_t{1})), "padding"));
}

TEST_CASE("a manifest names no file outside the snapshot's directory") {
  for (const char* name : {"../../a.b", "a/b/c/d/e/f", "..........", ".hidden..."}) {
    REQUIRE(std::strlen(name) >= 9);
    const auto bytes = resealed([&](std::vector<std::uint8_t>& manifest) {
      std::memset(manifest.data() + kFirstFileAt + 24, 0, 10);
      const auto size = static_cast<std::uint32_t>(std::strlen(name));
      std::memcpy(manifest.data() + kFirstFileAt + 16, &size, sizeof size);
      std::memcpy(manifest.data() + kFirstFileAt + 24, name, std::strlen(name));
    });
    CHECK_FALSE(refusal(bytes).empty());
  }
  CHECK(is_snapshot_file_name("000012.sst"));
  CHECK(is_snapshot_file_name("MANIFEST-000005"));
  CHECK(is_snapshot_file_name(std::string(128, 'a')));
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"), std::string("/a"),
        std::string("a\\b"), std::string("a b"), std::string("a\0b", 3), std::string("\xc3\xa4"),
        std::string(129, 'a')}) {
    CHECK_FALSE(is_snapshot_file_name(name));
  }
}

TEST_CASE("a manifest's files are in order and none is named twice") {
  SnapshotManifest manifest = sample();
  std::swap(manifest.files[0], manifest.files[1]);
  CHECK(mentions(refusal(encode_snapshot_manifest(manifest)), "order"));
  manifest = sample();
  manifest.files[1].name = manifest.files[0].name;
  CHECK(mentions(refusal(encode_snapshot_manifest(manifest)), "order"));
}

TEST_CASE("a manifest's sizes have a sum") {
  SnapshotManifest manifest = sample();
  for (SnapshotFile& file : manifest.files) file.size = std::uint64_t{1} << 63;
  CHECK(mentions(refusal(encode_snapshot_manifest(manifest)), "a file of 9223372036854775808"));
}

TEST_CASE("a manifest's membership is checked like any other") {
  SnapshotManifest manifest = sample();
  manifest.membership.members.clear();
  CHECK(mentions(refusal(encode_snapshot_manifest(manifest)), "member"));
}

TEST_CASE("a snapshot's directory name is read back only as it is printed") {
  CHECK(snapshot_name(LogIndex(8192), Term(3)) == "8192-3");
  const auto place = parse_snapshot_name("8192-3");
  REQUIRE(place);
  CHECK(place->index == LogIndex(8192));
  CHECK(place->term == Term(3));
  for (const char* name :
       {"", "-", "8192", "8192-", "-3", "08192-3", "8192-03", "8192-3.tmp", "0-3", "8192-0",
        "8192-3 ", "+8192-3", "18446744073709551616-1", "installing"}) {
    CAPTURE(name);
    CHECK_FALSE(parse_snapshot_name(name));
  }
}

}  // namespace bib::wire
