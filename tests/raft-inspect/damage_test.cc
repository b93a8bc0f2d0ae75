// What must never be silently clean.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "log_writer.h"
#include "support/test_support.h"
#include "wire/base/prng.h"

namespace bib::inspect {
namespace {

namespace fs = std::filesystem;

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  INFO(part);
  return text.find(part) != std::string::npos;
}

bool ends_with_line(const std::string& text, const std::string& line) {
  INFO(text);
  return text.ends_with("\n" + line + "\n");
}

// Runs verify on `bytes` in place of the segment's.
Outcome verify_with(const support::TempDir& dir, const fs::path& file, const std::string& bytes) {
  const std::string before = support::read_file(file);
  support::write_file(file, bytes);
  Outcome outcome = run_inspect({"verify", dir.path()});
  support::write_file(file, before);
  return outcome;
}

// Where the bytes end that were durable: the last block of the last segment is only its watermark.
std::uint64_t durable_end(const LogWriter& log, std::uint64_t segment) {
  if (segment == log.segment()) return log.end_offset();
  const std::string bytes = support::read_file(log.path(segment));
  const auto scan = wire::scan_segment(wire::as_bytes(bytes), {.term_of = {}}, {});
  REQUIRE(scan);
  return scan->end_offset;
}

TEST_CASE("a flipped bit anywhere in what is durable is damage, with file, offset and advice") {
  support::TempDir dir;
  const LogWriter log = write_sample_log(dir / "log");
  CHECK(run_inspect({"verify", dir.path()}).code == 0);
  wire::Prng prng(7);
  for (std::uint64_t segment = 1; segment <= 3; ++segment) {
    const std::string whole = support::read_file(log.path(segment));
    const std::uint64_t end = durable_end(log, segment);
    for (std::uint64_t offset = 0; offset < end; offset += 1 + prng.below(24)) {
      std::string bytes = whole;
      bytes[offset] = static_cast<char>(bytes[offset] ^ (1 << prng.below(8)));
      CAPTURE(segment, offset);
      const Outcome outcome = verify_with(dir, log.path(segment), bytes);
      REQUIRE(outcome.code == 3);
      CHECK(has(outcome.out, "DAMAGE  " + log.path(segment).string()));
      CHECK(has(outcome.out, "offset "));
      CHECK(has(outcome.out, "What to do:"));
      CHECK(has(outcome.out, "under a new id"));
      CHECK(has(outcome.out, "\ndamaged: "));
    }
  }
}

TEST_CASE("the finding says at which block and which entry the damage begins") {
  support::TempDir dir;
  const LogWriter log = write_sample_log(dir / "log");
  std::string bytes = support::read_file(log.path(2));
  const std::uint64_t third = log.header_size() + 2 * 512;  // one entry a block
  bytes[third + 100] = static_cast<char>(bytes[third + 100] ^ 4);
  const Outcome outcome = verify_with(dir, log.path(2), bytes);
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, fmt::format("offset {}, entries from 8 on", third)));
  CHECK(has(outcome.out, fmt::format("readable again at offset {}", third + 512)));
  CHECK(ends_with_line(outcome.out, "damaged: 1 finding"));
}

TEST_CASE("all damage is found in one run, also several places of one file") {
  support::TempDir dir;
  const LogWriter log = write_sample_log(dir / "log");
  for (const std::uint64_t block : {0U, 2U, 4U}) {
    std::string bytes = support::read_file(log.path(2));
    const std::uint64_t offset = log.header_size() + block * 512 + 90;
    bytes[offset] = static_cast<char>(bytes[offset] ^ 1);
    support::write_file(log.path(2), bytes);
  }
  std::string bytes = support::read_file(log.path(3));
  bytes[20] = static_cast<char>(bytes[20] ^ 1);
  support::write_file(log.path(3), bytes);
  const Outcome outcome = run_inspect({"verify", dir.path(), "-o", "json"});
  CHECK(outcome.code == 3);
  const auto json = nlohmann::json::parse(outcome.out);
  CHECK(json["verdict"] == "damaged");
  std::vector<std::pair<std::string, std::uint64_t>> places;
  for (const auto& finding : json["findings"]) {
    CHECK(finding["kind"] == "damage");
    CHECK_FALSE(finding["advice"].get<std::string>().empty());
    places.emplace_back(fs::path(finding["path"].get<std::string>()).filename(),
                        finding["offset"].get<std::uint64_t>());
  }
  const std::string second = log.path(2).filename();
  const std::string third = log.path(3).filename();
  CHECK(places ==
        std::vector<std::pair<std::string, std::uint64_t>>{{second, log.header_size()},
                                                           {second, log.header_size() + 2 * 512},
                                                           {second, log.header_size() + 4 * 512},
                                                           {third, 0}});
}

TEST_CASE("a missing segment is named with the entries that are gone, whichever it is") {
  for (std::uint64_t segment = 1; segment <= 3; ++segment) {
    support::TempDir dir;
    const LogWriter log = write_sample_log(dir / "log");
    fs::remove(log.path(segment));
    const Outcome outcome = run_inspect({"verify", dir.path()});
    CHECK(outcome.code == 3);
    CHECK(has(outcome.out, "DAMAGE  " + log.path(segment).string()));
    CHECK(has(outcome.out, "the file is missing"));
    CHECK(has(outcome.out, "put it back"));
    if (segment == 1) CHECK(has(outcome.out, "entries 1 to 5 are gone"));
    if (segment == 2) CHECK(has(outcome.out, "entries 6 to 9 are gone"));
    if (segment == 3) CHECK(has(outcome.out, "entries from 10 on"));
    CHECK(ends_with_line(outcome.out, "damaged: 1 finding"));
  }
}

TEST_CASE("several missing segments in a row are one finding") {
  support::TempDir dir;
  const LogWriter log = write_sample_log(dir / "log");
  fs::remove(log.path(1));
  fs::remove(log.path(2));
  const Outcome outcome = run_inspect({"verify", dir.path()});
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "2 files are missing, up to " + wire::segment_file_name(2) +
                             ": entries 1 to 9 are gone"));
  CHECK(ends_with_line(outcome.out, "damaged: 1 finding"));
}

TEST_CASE("a segment of another cluster, node or log is foreign") {
  LogWriterOptions cluster;
  cluster.cluster = LogWriterOptions::filled_cluster(0xdd);
  LogWriterOptions node;
  node.node = wire::NodeId(0xa2);
  LogWriterOptions log_id;
  log_id.log_id = 0x1e;
  for (const LogWriterOptions& options : {cluster, node, log_id}) {
    support::TempDir dir;
    support::TempDir other;
    const LogWriter log = write_sample_log(dir / "log");
    const LogWriter foreign = write_sample_log(other / "log", options);
    fs::copy_file(foreign.path(2), log.path(2), fs::copy_options::overwrite_existing);
    const Outcome outcome = run_inspect({"verify", dir.path()});
    CHECK(outcome.code == 3);
    CHECK(has(outcome.out, "DAMAGE  " + log.path(2).string()));
    CHECK(has(outcome.out, "belongs to another log"));
    CHECK(ends_with_line(outcome.out, "damaged: 1 finding"));
  }
}

TEST_CASE("segments whose names do not fit their content are named") {
  support::TempDir dir;
  const LogWriter log = write_sample_log(dir / "log");
  fs::rename(log.path(1), dir / "log" / "aside");
  fs::rename(log.path(2), log.path(1));
  fs::rename(dir / "log" / "aside", log.path(2));
  const Outcome outcome = run_inspect({"verify", dir.path()});
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "the file holds segment 1"));
  CHECK(has(outcome.out, "the file holds segment 2"));
}

TEST_CASE("a file that was cut short is damage wherever it was cut") {
  support::TempDir dir;
  const LogWriter log = write_sample_log(dir / "log");
  for (std::uint64_t segment = 1; segment <= 3; ++segment) {
    const std::string whole = support::read_file(log.path(segment));
    const std::uint64_t end = durable_end(log, segment);
    for (std::uint64_t size = 0; size < end; size += 61) {
      CAPTURE(segment, size);
      CHECK(verify_with(dir, log.path(segment), whole.substr(0, size)).code == 3);
    }
    CHECK(verify_with(dir, log.path(segment), whole.substr(0, end - 512)).code == 3);
    CHECK(verify_with(dir, log.path(segment), whole.substr(0, end - 1)).code == 3);
  }
}

TEST_CASE("a torn last write is reported and is clean") {
  support::TempDir dir;
  LogWriter log = write_sample_log(dir / "log");
  const std::uint64_t end = log.end_offset();
  log.noop().block();  // takes the watermark's place; nothing says that it is durable
  std::string bytes = support::read_file(log.path(3));
  bytes[end + 80] = static_cast<char>(bytes[end + 80] ^ 1);
  support::write_file(log.path(3), bytes);
  const Outcome outcome = run_inspect({"verify", dir.path()});
  CHECK(outcome.code == 0);
  CHECK(has(outcome.out, "note    " + log.path(3).string()));
  CHECK(has(outcome.out, fmt::format("offset {}", end)));
  CHECK(has(outcome.out, "did not complete"));
  CHECK(ends_with_line(outcome.out, "clean"));
}

TEST_CASE("a segment that was being created when the node stopped is a note") {
  support::TempDir dir;
  LogWriter log = write_sample_log(dir / "log");
  const std::string third = support::read_file(log.path(3));
  log.roll();  // seals the third; the fourth is blank
  CHECK(run_inspect({"verify", dir.path()}).code == 0);
  support::write_file(log.path(3), third);  // as before the seal
  const Outcome outcome = run_inspect({"verify", dir.path()});
  CHECK(outcome.code == 0);
  CHECK(has(outcome.out, "was being created"));
  CHECK(has(run_inspect({"status", dir.path()}).out, "blank\n"));
  // With something in it, it is a successor of a segment that is not sealed.
  std::string bytes = support::read_file(log.path(4));
  bytes[log.header_size() + 700] = 1;
  support::write_file(log.path(4), bytes);
  CHECK(run_inspect({"verify", dir.path()}).code == 3);
}

TEST_CASE("a segment of a version to come says that a newer tool is needed") {
  support::TempDir dir;
  const LogWriter log = write_sample_log(dir / "log");
  std::string bytes = support::read_file(log.path(2));
  bytes[8] = 2;
  const Outcome outcome = verify_with(dir, log.path(2), bytes);
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "version 2"));
  CHECK(has(outcome.out, "that version's raft-inspect"));
}

TEST_CASE("a segment from an older state of the same log is damage") {
  support::TempDir dir;
  support::TempDir other;
  write_sample_log(dir / "log");
  LogWriter longer(other / "log");
  longer.noop().block().noop().block();
  for (int i = 0; i < 9; ++i) longer.noop().block();
  longer.roll().noop().block().roll().noop().block().watermark();
  fs::copy_file(longer.path(3), dir / "log" / wire::segment_file_name(3),
                fs::copy_options::overwrite_existing);
  const Outcome outcome = run_inspect({"verify", dir.path()});
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "its first block is"));
}

TEST_CASE("a truncation of what a snapshot holds is damage") {
  support::TempDir dir;
  LogWriterOptions options;
  options.base_index = wire::LogIndex(100);
  options.base_term = wire::Term(3);
  LogWriter log(dir / "log", options);
  log.hard_state(4, 0).noop().block().truncate(100).block().watermark();
  const Outcome outcome = run_inspect({"verify", dir.path()});
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "a truncation from 100 of a log that starts after 100"));
}

TEST_CASE("an event that does not verify is damage although every checksum is right") {
  support::TempDir dir;
  LogWriter log(dir / "log");
  std::vector<std::uint8_t> bad = encoded(wire::ConfigSet{"key", "value"}, 1);
  bad[0] = 0xff;  // the root's offset leads out of the event
  bad[1] = 0xff;
  log.events({encoded(wire::ConfigSet{"a", "b"}, 1), bad}).block().watermark();
  const Outcome outcome = run_inspect({"verify", dir.path()});
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "event 1:1 cannot be decoded"));
  CHECK(ends_with_line(outcome.out, "damaged: 1 finding"));
}

TEST_CASE("an invalid schema is damage, and its events are shown as bytes") {
  support::TempDir dir;
  LogWriterOptions options;
  options.schema = {1, 2, 3, 4};
  LogWriter log(dir / "log", options);
  log.event(wire::ConfigSet{"a", "b"}, 1).block().watermark();
  const Outcome verified = run_inspect({"verify", dir.path()});
  CHECK(verified.code == 3);
  CHECK(has(verified.out, "schema cannot be used"));
  const Outcome shown = run_inspect({"log", dir.path()});
  CHECK(shown.code == 3);
  CHECK(has(shown.out, "1:0     cannot be decoded"));
}

TEST_CASE("something else than a file under a segment's name is damage and blocks nobody") {
  support::TempDir dir;
  const LogWriter log = write_sample_log(dir / "log");
  fs::remove(log.path(2));
  fs::create_directory(log.path(2));
  CHECK(run_inspect({"verify", dir.path()}).code == 3);
  fs::remove(log.path(2));
  REQUIRE(::mkfifo(log.path(2).c_str(), 0600) == 0);
  const Outcome outcome = run_inspect({"verify", dir.path()});
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "not a regular file"));
}

TEST_CASE("bytes of every kind in place of a segment never end the tool") {
  support::TempDir dir;
  const LogWriter log = write_sample_log(dir / "log");
  wire::Prng prng(5);
  for (int round = 0; round < 400; ++round) {
    CAPTURE(round);
    const fs::path file = log.path(1 + prng.below(3));
    const std::string before = support::read_file(file);
    std::string bytes = before;
    for (std::uint64_t n = 1 + prng.below(20); n > 0; --n) {
      // Mostly where something stands.
      const std::uint64_t range = prng.below(4) == 0 ? bytes.size() : log.end_offset();
      bytes[prng.below(range)] = static_cast<char>(prng.next());
    }
    if (prng.below(4) == 0) bytes.resize(prng.below(bytes.size()));
    support::write_file(file, bytes);
    for (const char* command : {"verify", "log", "status"}) {
      const int code = run_inspect({command, dir.path()}).code;
      CHECK((code == 0 || code == 3));
    }
    support::write_file(file, before);
  }
}

}  // namespace
}  // namespace bib::inspect
