#include "wire/log/log_start.h"

#include <catch2/catch.hpp>

#include <cstring>

#include "wire/base/checksum.h"

namespace bib::wire {
namespace {

const LogStart kStart{.log_id = 0x1234,
                      .first_segment = 7,
                      .previous_index = LogIndex(900),
                      .previous_term = Term(4)};

template <typename Number>
std::vector<std::uint8_t> with(std::size_t offset, Number value) {
  std::vector<std::uint8_t> bytes = encode_log_start(kStart);
  std::memcpy(bytes.data() + offset, &value, sizeof value);
  const std::uint64_t checksum = checksum64(ByteView(bytes).first(56));
  std::memcpy(bytes.data() + 56, &checksum, sizeof checksum);
  return bytes;
}

}  // namespace

TEST_CASE("the note of a log's start comes back") {
  const auto bytes = encode_log_start(kStart);
  REQUIRE(bytes.size() == kLogStartSize);
  const auto decoded = decode_log_start(bytes);
  REQUIRE(decoded);
  CHECK(*decoded == kStart);
}

TEST_CASE("a note of a log's start that is damaged anywhere is refused") {
  auto bytes = encode_log_start(kStart);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    CHECK_FALSE(decode_log_start(bytes));
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(decode_log_start(ByteView(bytes).first(size)));
  }
  bytes.push_back(0);
  CHECK_FALSE(decode_log_start(bytes));
}

TEST_CASE("a note of a log's start with impossible fields under a right checksum is refused") {
  CHECK(decode_log_start(with(24, std::uint64_t{2})));
  CHECK_FALSE(decode_log_start(with(24, std::uint64_t{1})));
  CHECK_FALSE(decode_log_start(with(32, std::uint64_t{0})));
  CHECK_FALSE(decode_log_start(with(40, std::uint64_t{0})));
  CHECK_FALSE(decode_log_start(with(12, std::uint32_t{1})));
  CHECK_FALSE(decode_log_start(with(48, std::uint64_t{1})));
  const auto newer = decode_log_start(with(8, std::uint32_t{2}));
  REQUIRE_FALSE(newer);
  CHECK(newer.error().code == ErrorCode::kUnsupported);
}

}  // namespace bib::wire
