#include "wire/log/log_format.h"

#include <catch2/catch.hpp>

#include "log_samples.h"
#include "support/test_support.h"
#include "wire/base/checksum.h"
#include "wire/base/little_endian.h"

namespace bib::wire {

TEST_CASE("a segment's file name is its number in twenty digits") {
  CHECK(segment_file_name(1) == "00000000000000000001.seg");
  CHECK(parse_segment_file_name("00000000000000000001.seg") == 1);
  CHECK(parse_segment_file_name("18446744073709551615.seg") == ~std::uint64_t{0});
  for (const char* name : {"", "1.seg", "00000000000000000000.seg", "18446744073709551616.seg",
                           "00000000000000000001.tmp", "0000000000000000000x.seg",
                           "00000000000000000001.seg ", "-0000000000000000001.seg"}) {
    INFO(name);
    CHECK_FALSE(parse_segment_file_name(name));
  }
}

TEST_CASE("a segment header is read as it was written") {
  SegmentHeader header = sample_segment_header();
  header.membership = {9, 8, 7};
  header.membership_index = LogIndex(12);
  for (const std::uint32_t alignment : {512U, 4096U}) {
    header.alignment = alignment;
    std::vector<std::uint8_t> bytes = encode_segment_header(header);
    CHECK(bytes.size() == alignment);
    bytes.resize(bytes.size() + 100, 0xff);  // blocks follow
    const auto read = read_segment_header(bytes);
    REQUIRE(read);
    CHECK(read->header_size == alignment);
    CHECK(read->number == header.number);
    CHECK(read->cluster == header.cluster);
    CHECK(read->node == header.node);
    CHECK(read->log_id == header.log_id);
    CHECK(read->first_sequence == header.first_sequence);
    CHECK(read->previous_index == header.previous_index);
    CHECK(read->previous_term == header.previous_term);
    CHECK(read->hard_state == header.hard_state);
    CHECK(read->created_us == header.created_us);
    CHECK(read->alignment == alignment);
    CHECK(read->membership_index == header.membership_index);
    CHECK(read->membership == header.membership);
    CHECK(read->schema == header.schema);
  }
}

TEST_CASE("a segment header grows with its schema up to the limit") {
  SegmentHeader header = sample_segment_header();
  header.schema.assign(5000, 0x55);
  header.membership.assign(600, 0x66);
  const auto read = read_segment_header(encode_segment_header(header));
  REQUIRE(read);
  CHECK(read->header_size == 6144);
  CHECK(read->schema == header.schema);
  CHECK(read->membership == header.membership);
  header.schema.assign(kSegmentHeaderSizeMax, 0);
  CHECK(support::aborts([&] { encode_segment_header(header); }));
}

TEST_CASE("a segment header of another version is unsupported, any other fault is corruption") {
  const std::vector<std::uint8_t> good = encode_segment_header(sample_segment_header());
  const auto code_with = [&](std::size_t at, std::uint32_t value) {
    std::vector<std::uint8_t> bytes = good;
    store(bytes.data() + at, value);
    store(bytes.data() + 128, std::uint64_t{0});
    store(bytes.data() + 128, checksum64(bytes));
    const auto read = read_segment_header(bytes);
    return read ? ErrorCode::kNone : read.error().code;
  };
  CHECK(code_with(8, 1) == ErrorCode::kNone);
  CHECK(code_with(8, 2) == ErrorCode::kUnsupported);
  CHECK(code_with(0, 0) == ErrorCode::kCorrupt);
  CHECK(code_with(12, 1024) == ErrorCode::kCorrupt);
  CHECK(code_with(104, 1024) == ErrorCode::kCorrupt);
  CHECK(code_with(108, 0xffffffff) == ErrorCode::kCorrupt);
  CHECK(code_with(112, 0xffffffff) == ErrorCode::kCorrupt);
  CHECK(code_with(116, 1) == ErrorCode::kCorrupt);
  CHECK(code_with(16, 0) == ErrorCode::kCorrupt);
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::vector<std::uint8_t> bytes = good;
    bytes[at] ^= 0x10;
    REQUIRE_FALSE(read_segment_header(bytes));
  }
}

TEST_CASE("a block is aligned in memory and in size, and verifies") {
  for (const std::uint32_t alignment : {512U, 4096U}) {
    BlockBuilder builder(alignment);
    CHECK(builder.size() == alignment);
    builder.add_hard_state({.term = Term(5), .vote = NodeId(6)});
    const Bytes entry = sample_entry(41, 3, std::string(5000, 'e'));
    const std::uint32_t offset = builder.add_entry(entry.view());
    builder.add_truncate(LogIndex(41));
    const ByteView block = builder.finish(
        {.sequence = 9, .log_id = 8, .segment = 7, .durable_sequence = 6, .flags = kBlockClosed});
    CHECK(block.size() == builder.size());
    CHECK(block.size() % alignment == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(block.data()) % 4096 == 0);
    CHECK(verify_entry(block.subspan(offset)));
    const auto header = verify_block(block, alignment);
    REQUIRE(header);
    CHECK(header->flags == kBlockClosed);
    CHECK(header->record_count == 3);
    CHECK(header->size == block.size());
    CHECK(header->sequence == 9);
    CHECK(header->log_id == 8);
    CHECK(header->segment == 7);
    CHECK(header->durable_sequence == 6);
  }
}

TEST_CASE("a block builder that is used again leaves nothing of the block before") {
  BlockBuilder used(512);
  used.add_entry(sample_entry(1, 1, std::string(100'000, 'z')).view());
  const BlockBuilder::Stamp stamp{
      .sequence = 3, .log_id = 1, .segment = 1, .durable_sequence = 2, .flags = 0};
  used.finish(stamp);
  used.reset();
  CHECK(used.record_count() == 0);
  BlockBuilder fresh(512);
  used.add_truncate(LogIndex(4));
  fresh.add_truncate(LogIndex(4));
  const ByteView again = used.finish(stamp);
  const ByteView first = fresh.finish(stamp);
  CHECK(std::vector(again.begin(), again.end()) == std::vector(first.begin(), first.end()));
}

TEST_CASE("a block is refused for each of its fields that is wrong") {
  BlockBuilder builder(512);
  builder.add_truncate(LogIndex(4));
  const ByteView good =
      builder.finish({.sequence = 9, .log_id = 8, .segment = 7, .durable_sequence = 6, .flags = 0});
  const auto error_with = [&](std::size_t at, auto value) {
    std::vector<std::uint8_t> bytes(good.begin(), good.end());
    store(bytes.data() + at, value);
    store(bytes.data() + 48, std::uint64_t{0});
    store(bytes.data() + 48, checksum64({bytes.data(), kBlockHeaderSize + 16}));
    const auto read = verify_block(bytes, 512);
    return read ? std::string() : read.error().message;
  };
  CHECK(error_with(16, std::uint64_t{9}).empty());
  CHECK(error_with(0, std::uint32_t{0}).find("magic") != std::string::npos);
  CHECK(error_with(4, std::uint8_t{2}).find("version") != std::string::npos);
  CHECK(error_with(5, std::uint8_t{8}).find("flags") != std::string::npos);
  CHECK(error_with(5, std::uint8_t{kBlockWatermark}).find("watermark") != std::string::npos);
  CHECK(error_with(8, std::uint32_t{1000}).find("size") != std::string::npos);
  CHECK(error_with(12, std::uint32_t{1024}).find("size") != std::string::npos);
  CHECK(error_with(40, std::uint64_t{9}).find("durable") != std::string::npos);
  CHECK(error_with(56, std::uint64_t{1}).find("zeros") != std::string::npos);
  CHECK(error_with(200, std::uint8_t{1}).find("zeros") != std::string::npos);
  CHECK(verify_block(good.first(511), 512).error().message.find("cut off") != std::string::npos);
  CHECK(verify_block(good, 4096).error().message.find("size") != std::string::npos);
}

TEST_CASE("a block that contradicts itself is not written") {
  BlockBuilder builder(512);
  builder.add_truncate(LogIndex(4));
  CHECK(support::aborts([&] {
    builder.finish({.sequence = 9, .log_id = 8, .segment = 7, .durable_sequence = 9, .flags = 0});
  }));
  CHECK(support::aborts([&] {
    builder.finish({.sequence = 9,
                    .log_id = 8,
                    .segment = 7,
                    .durable_sequence = 8,
                    .flags = kBlockWatermark});
  }));
}

}  // namespace bib::wire
