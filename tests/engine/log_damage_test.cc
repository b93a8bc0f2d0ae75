// What must keep a node from starting: anything durable that is not there any more.
#include <catch2/catch.hpp>

#include "engine/storage/log_reader.h"
#include "engine/storage/log_store.h"
#include "faulty_file_system.h"
#include "log_model.h"

namespace bib::engine {
namespace {

using wire::ErrorCode;

std::string segment_path(std::uint64_t number) {
  return join_path(kLogDirectory, wire::segment_file_name(number));
}

// A log of several segments that ends in a watermark.
LogModel fill(FaultyFileSystem& files, const LogStoreOptions& options = test_options(),
              std::uint64_t segments = 3) {
  LogModel model;
  auto log = LogStore::open(files, kLogDirectory, options);
  REQUIRE(log);
  while (log->store->counters().segments_made < segments || model.entries.size() % 7 != 3) {
    LogStoreWrite write;
    write.hard_state = {wire::Term(1 + model.entries.size() / 10), wire::NodeId(3)};
    write.entries = {
        make_entry(model.last().index.value() + 1, write.hard_state->term.value(), 5000)};
    REQUIRE(log->store->append({&write, 1}));
    model.apply(write);
  }
  REQUIRE(log->store->write_watermark());
  return model;
}

// The ranges that a checksum covers: headers and blocks without their padding.
struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool is_watermark = false;
};
std::vector<Range> covered_ranges(const std::vector<std::uint8_t>& bytes) {
  const auto header = wire::read_segment_header(bytes);
  REQUIRE(header);
  std::vector<Range> ranges{{0, header->header_size}};
  std::uint64_t offset = header->header_size;
  while (offset < bytes.size()) {
    const auto block = wire::verify_block(wire::ByteView(bytes).subspan(offset), header->alignment);
    if (!block) break;
    ranges.push_back({offset, offset + wire::kBlockHeaderSize + block->payload_size,
                      (block->flags & wire::kBlockWatermark) != 0});
    offset += block->size;
  }
  return ranges;
}

wire::Error must_refuse(FileSystem& files, const LogStoreOptions& options = test_options()) {
  const auto opened = LogStore::open(files, kLogDirectory, options);
  REQUIRE_FALSE(opened);
  CHECK((opened.error().code == ErrorCode::kCorrupt ||
         opened.error().code == ErrorCode::kUnsupported));
  return opened.error();
}

TEST_CASE("a flipped bit anywhere in what is durable is refused with file, offset and index") {
  FaultyFileSystem files;
  fill(files);
  wire::Prng prng(11);
  for (std::uint64_t number = 1; number <= 3; ++number) {
    const std::string path = segment_path(number);
    for (const Range& range : covered_ranges(files.content(path))) {
      if (range.is_watermark) continue;
      for (int flip = 0; flip < 24; ++flip) {
        // The fields at the beginning, and the rest at random.
        const std::uint64_t offset = flip < 12 ? range.begin + static_cast<std::uint64_t>(flip) * 5
                                               : range.begin + prng.below(range.end - range.begin);
        const auto bit = static_cast<unsigned>(prng.below(8));
        CAPTURE(path, offset, bit);
        const auto disk = files.copy();
        disk->flip_bit(path, offset, bit);
        const auto before = disk->content(path);
        const wire::Error error = must_refuse(*disk);
        CHECK(error.message.find(path) != std::string::npos);
        if (error.code == ErrorCode::kCorrupt) {
          CHECK(error.message.find(fmt::format("offset {}", range.begin)) != std::string::npos);
          CHECK(error.message.find("entries from ") != std::string::npos);
          CHECK(error.message.find("raft-inspect verify") != std::string::npos);
          CHECK(error.message.find("join the cluster again") != std::string::npos);
        }
        CHECK(disk->content(path) == before);  // nothing is repaired away
      }
    }
  }
}

TEST_CASE("the error names the first index that is affected") {
  FaultyFileSystem files;
  fill(files);
  // One entry a block: the nth block of the first segment holds entry n.
  const auto ranges = covered_ranges(files.content(segment_path(1)));
  for (std::size_t n = 1; n + 1 < ranges.size(); ++n) {
    const auto disk = files.copy();
    disk->flip_bit(segment_path(1), ranges[n].begin + 300, 2);
    CHECK(must_refuse(*disk).message.find(fmt::format("entries from {} on", n)) !=
          std::string::npos);
  }
}

TEST_CASE("damage to the last block is recognised by the watermark after it") {
  FaultyFileSystem files;
  LogModel model;
  {
    auto log = LogStore::open(files, kLogDirectory, test_options());
    LogStoreWrite write;
    write.entries = {make_entry(1, 1, 100)};
    REQUIRE(log->store->append({&write, 1}));
  }
  const auto ranges = covered_ranges(files.content(segment_path(1)));
  // Without it, it looks like a write that did not complete.
  const auto silent = files.copy();
  silent->flip_bit(segment_path(1), ranges[1].begin + 100, 0);
  CHECK(LogStore::open(*silent, kLogDirectory, test_options()));

  {
    auto log = LogStore::open(files, kLogDirectory, test_options());
    REQUIRE(log->store->write_watermark());
  }
  files.flip_bit(segment_path(1), ranges[1].begin + 100, 0);
  must_refuse(files);
}

TEST_CASE("a closed log's last block is protected by the closing block") {
  FaultyFileSystem files;
  {
    auto log = LogStore::open(files, kLogDirectory, test_options());
    LogStoreWrite write;
    write.entries = {make_entry(1, 1, 100)};
    REQUIRE(log->store->append({&write, 1}));
    REQUIRE(log->store->close());
  }
  const auto ranges = covered_ranges(files.content(segment_path(1)));
  files.flip_bit(segment_path(1), ranges[1].begin + 100, 0);
  must_refuse(files);
}

TEST_CASE("a file that was cut short is refused wherever it was cut") {
  FaultyFileSystem files;
  fill(files);
  for (std::uint64_t number = 1; number <= 3; ++number) {
    const std::string path = segment_path(number);
    const auto ranges = covered_ranges(files.content(path));
    const std::uint64_t end = ranges.back().end;
    for (std::uint64_t size = 0; size < end; size += 97) {
      CAPTURE(path, size);
      const auto disk = files.copy();
      auto bytes = disk->content(path);
      bytes.resize(size);
      disk->set_content(path, bytes);
      must_refuse(*disk);
    }
    for (std::size_t n = 1; n < ranges.size(); ++n) {
      const auto disk = files.copy();
      auto bytes = disk->content(path);
      bytes.resize(ranges[n].begin);
      disk->set_content(path, bytes);
      must_refuse(*disk);
    }
  }
}

TEST_CASE("a missing segment is refused by name, the newest one too") {
  FaultyFileSystem files;
  fill(files, test_options(), 4);
  for (std::uint64_t number = 1; number <= 4; ++number) {
    const auto disk = files.copy();
    disk->forget(segment_path(number));
    const wire::Error error = must_refuse(*disk);
    CHECK(error.message.find(segment_path(number)) != std::string::npos);
    CHECK(error.message.find("missing") != std::string::npos);
  }
}

TEST_CASE("segments that changed places are refused") {
  FaultyFileSystem files;
  fill(files);
  const auto second = files.content(segment_path(2));
  files.set_content(segment_path(2), files.content(segment_path(1)));
  files.set_content(segment_path(1), second);
  CHECK(must_refuse(files).message.find("holds segment") != std::string::npos);
}

TEST_CASE("a segment of another log is refused although its number fits") {
  const auto refuse_mixed = [](const LogStoreOptions& other_options) {
    FaultyFileSystem files;
    fill(files);
    FaultyFileSystem other;
    auto log = LogStore::open(other, kLogDirectory, other_options);
    LogModel model;
    while (log->store->counters().segments_made < 3) {
      LogStoreWrite write;
      const auto stamp = wire::EntryStamp{
          .cluster = other_options.cluster, .term = wire::Term(1), .index = model.last().index + 1};
      write.entries = {wire::make_noop_entry(stamp)};
      model.entries.push_back(write.entries.front());
      REQUIRE(log->store->append({&write, 1}));
    }
    files.set_content(segment_path(2), other.content(segment_path(2)));
    return must_refuse(files).message;
  };
  LogStoreOptions options = test_options();
  options.node = wire::NodeId(99);
  CHECK(refuse_mixed(options).find("another log") != std::string::npos);
  options = test_options();
  options.cluster.bytes.fill(7);
  CHECK(refuse_mixed(options).find("another log") != std::string::npos);
  options = test_options();
  options.random = [] { return 77; };
  CHECK(refuse_mixed(options).find("another log") != std::string::npos);
}

TEST_CASE("a segment from an older state of the same log is refused") {
  FaultyFileSystem files;
  fill(files);
  const auto backup = files.content(segment_path(3));
  {
    auto log = LogStore::open(files, kLogDirectory, test_options());
    while (log->store->counters().segments_made < 2) {
      LogStoreWrite write;
      write.entries = {make_entry(log->store->last().index.value() + 1, 100, 9000)};
      REQUIRE(log->store->append({&write, 1}));
    }
  }
  files.set_content(segment_path(3), backup);
  must_refuse(files);
}

TEST_CASE("bytes of every kind in place of a segment never abort") {
  FaultyFileSystem files;
  fill(files);
  wire::Prng prng(5);
  for (int round = 0; round < 300; ++round) {
    const auto disk = files.copy();
    const std::string path = segment_path(1 + prng.below(3));
    auto bytes = disk->content(path);
    for (std::uint64_t n = 1 + prng.below(20); n > 0; --n) {
      bytes[prng.below(bytes.size())] = static_cast<std::uint8_t>(prng.next());
    }
    if (prng.below(3) == 0) bytes.resize(prng.below(bytes.size()));
    disk->set_content(path, bytes);
    const auto opened = LogStore::open(*disk, kLogDirectory, test_options());
    if (!opened) CHECK_FALSE(opened.error().message.empty());
  }
}

TEST_CASE("a reader that finds something else than what was written says where") {
  FaultyFileSystem files;
  auto log = LogStore::open(files, kLogDirectory, test_options());
  LogStoreWrite write;
  for (std::uint64_t i = 1; i <= 5; ++i) write.entries.push_back(make_entry(i, 1, 300));
  REQUIRE(log->store->append({&write, 1}));
  LogReader reader(files, kLogDirectory, log->store->locations());
  REQUIRE(reader.read(wire::LogIndex(1), wire::LogIndex(5), 10000));
  const auto place = log->store->locations()->find(wire::LogIndex(3));
  files.flip_bit(segment_path(1), place->offset + 100, 1);
  const auto read = reader.read(wire::LogIndex(1), wire::LogIndex(5), 10000);
  REQUIRE_FALSE(read);
  CHECK(read.error().code == ErrorCode::kCorrupt);
  CHECK(read.error().message.find(fmt::format("offset {}", place->offset)) != std::string::npos);
  CHECK(read.error().message.find("entry 3") != std::string::npos);
  CHECK(reader.read(wire::LogIndex(4), wire::LogIndex(5), 10000));
}

}  // namespace
}  // namespace bib::engine
