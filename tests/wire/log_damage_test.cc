// scan_segment over random damage: what was durable is there, or its loss is seen.
#include <catch2/catch.hpp>

#include <cstring>
#include <memory>

#include "log_samples.h"
#include "wire/base/prng.h"

namespace bib::wire {
namespace {

// Blocks of many sizes with all kinds of records; the last one is a watermark for all others.
SegmentWriter varied_segment() {
  SegmentWriter writer;
  std::uint64_t index = 41;
  for (std::size_t i = 0; i < 12; ++i) {
    writer.entries(index, 1 + i % 4, 3 + i / 4, std::string(i * 37, static_cast<char>('a' + i)));
    index += 1 + i % 4;
  }
  writer.block([&](BlockBuilder& block) {
    block.add_hard_state({.term = Term(9), .vote = NodeId(2)});
    block.add_truncate(LogIndex(index - 2));
    block.add_entry(sample_entry(index - 2, 9).view());
  });
  writer.watermark();
  return writer;
}

using Contents = std::vector<std::string>;

Contents contents_of(ByteView file, SegmentScan& scan) {
  Contents contents;
  const auto result = scan_segment(file, {}, [&](const Record& record) -> Status {
    contents.emplace_back(as_text(record.content));
    return {};
  });
  REQUIRE(result);
  scan = *result;
  return contents;
}

bool is_prefix(const Contents& prefix, const Contents& whole) {
  return prefix.size() <= whole.size() && std::equal(prefix.begin(), prefix.end(), whole.begin());
}

// In storage of exactly its size, so that a sanitizer sees a read beyond it.
struct ExactFile {
  explicit ExactFile(const std::vector<std::uint8_t>& bytes)
      : data(std::make_unique<std::uint8_t[]>(bytes.size())), size(bytes.size()) {
    if (size > 0) std::memcpy(data.get(), bytes.data(), size);
  }
  ByteView view() const { return {data.get(), size}; }
  std::unique_ptr<std::uint8_t[]> data;
  std::size_t size;
};

}  // namespace

TEST_CASE("every flipped bit in a durable block is damage, in the last write it is a torn tail") {
  SegmentWriter writer = varied_segment();
  SegmentScan scan;
  const Contents whole = contents_of(writer.bytes, scan);
  REQUIRE(scan.end == SegmentEnd::kTail);
  const std::size_t last = writer.offsets.back();
  ExactFile file(writer.bytes);
  Prng random(1);
  for (int round = 0; round < 20'000; ++round) {
    const std::uint64_t bit = random.below(writer.bytes.size() * 8);
    const std::size_t at = bit / 8;
    INFO("bit " << bit % 8 << " of byte " << at);
    file.data[at] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    if (at < writer.offsets.front()) {
      REQUIRE_FALSE(scan_segment(file.view(), {}, {}));
    } else {
      const Contents found = contents_of(file.view(), scan);
      REQUIRE(scan.end == (at < last ? SegmentEnd::kDamaged : SegmentEnd::kTorn));
      REQUIRE(scan.problem_offset <= at);
      REQUIRE(is_prefix(found, whole));
      REQUIRE((at < last || found == whole));
    }
    file.data[at] = writer.bytes[at];
  }
}

TEST_CASE("whatever is done to a segment, the scan gives a part of what was written, unchanged") {
  SegmentWriter writer = varied_segment();
  writer.zeros(2048);
  SegmentScan scan;
  const Contents whole = contents_of(writer.bytes, scan);
  Prng random(2);
  int damaged = 0;
  int torn = 0;
  for (int round = 0; round < 5'000; ++round) {
    std::vector<std::uint8_t> bytes = writer.bytes;
    const std::uint64_t wounds = random.between(1, 4);
    for (std::uint64_t i = 0; i < wounds; ++i) {
      // Zeroed, scrambled or moved sectors, after the header.
      const std::size_t sectors = bytes.size() / 512;
      const auto sector = [&] { return bytes.data() + 512 * random.between(1, sectors - 1); };
      std::uint8_t* at = sector();
      switch (random.below(4)) {
        case 0:
          std::memset(at, 0, 512);
          break;
        case 1:
          for (int byte = 0; byte < 512; ++byte)
            at[byte] = static_cast<std::uint8_t>(random.next());
          break;
        case 2:
          std::memmove(at, sector(), 512);
          break;
        default:
          at[random.below(512)] ^= static_cast<std::uint8_t>(random.between(1, 255));
      }
    }
    if (random.chance_ppm(200'000)) bytes.resize(random.between(512, bytes.size()));
    const ExactFile file(bytes);
    const Contents found = contents_of(file.view(), scan);
    REQUIRE(is_prefix(found, whole));
    damaged += scan.end == SegmentEnd::kDamaged ? 1 : 0;
    torn += scan.end == SegmentEnd::kTorn ? 1 : 0;
  }
  CHECK(damaged > 1000);
  CHECK(torn > 50);
}

TEST_CASE("random bytes are never a segment, a block, an entry or a reason to crash") {
  Prng random(3);
  for (int round = 0; round < 5'000; ++round) {
    std::vector<std::uint8_t> bytes(random.below(2048));
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.next());
    const ExactFile file(bytes);
    REQUIRE_FALSE(scan_segment(file.view(), {}, {}));
    REQUIRE_FALSE(verify_block(file.view(), 512));
    REQUIRE_FALSE(verify_entry(file.view()));
  }
}

}  // namespace bib::wire
