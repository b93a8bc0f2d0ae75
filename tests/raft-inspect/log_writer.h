// LogWriter: a node's log directory made of wire's pieces, block by block, for tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "wire/log/entry.h"
#include "wire/log/log_format.h"
#include "wire/model/event.h"

namespace bib::inspect {

inline constexpr std::uint64_t kSegmentBytes = 64U << 10;
inline constexpr std::uint32_t kAlignment = 512;
// 2026-03-01 12:00:00 UTC.
inline constexpr std::int64_t kNoonUs = 1'772'366'400'000'000;

struct LogWriterOptions {
  wire::ClusterId cluster = filled_cluster(0xc1);
  wire::NodeId node{0xa1};
  std::uint64_t log_id = 0x1d;
  std::vector<std::uint8_t> schema = own_schema();
  // The log begins after a snapshot.
  wire::LogIndex base_index;
  wire::Term base_term;

  static wire::ClusterId filled_cluster(std::uint8_t byte);
  static std::vector<std::uint8_t> own_schema();
};

std::vector<std::uint8_t> encoded(const wire::EventBody& body, std::uint64_t revision = 0);
std::vector<std::uint8_t> membership_bytes();

class LogWriter {
 public:
  // Writes into `directory` (made if missing) as it goes: all that is asked for stands in the files
  // when a call returns.
  explicit LogWriter(std::filesystem::path directory, LogWriterOptions options = {});

  // ---- records of the next block
  LogWriter& hard_state(std::uint64_t term, std::uint64_t vote);
  LogWriter& truncate(std::uint64_t from);
  LogWriter& noop();
  LogWriter& membership();
  LogWriter& events(const std::vector<std::vector<std::uint8_t>>& events);
  LogWriter& event(const wire::EventBody& body, std::uint64_t revision = 0);
  // An entry with these bytes, whatever they are; its index and term are taken from its header.
  LogWriter& raw_entry(const wire::Bytes& entry);

  // ---- blocks
  LogWriter& block(std::uint8_t flags = 0);
  LogWriter& watermark();
  LogWriter& close();
  // Seals, and continues in a new segment, after `place` where a snapshot was installed.
  LogWriter& roll();
  LogWriter& roll_after_snapshot(std::uint64_t index, std::uint64_t term);

  std::filesystem::path path(std::uint64_t segment) const;
  std::uint64_t segment() const { return header_.number; }
  std::uint64_t last_index() const { return last_index_.value(); }
  // After the last block of the segment in hand.
  std::uint64_t end_offset() const { return end_offset_; }
  std::uint64_t header_size() const { return header_size_; }
  wire::EntryStamp stamp();

 private:
  void begin_segment();
  void write_block(std::uint8_t flags, bool advance);

  const std::filesystem::path directory_;
  const LogWriterOptions options_;
  wire::SegmentHeader header_;
  std::unique_ptr<wire::BlockBuilder> builder_ = std::make_unique<wire::BlockBuilder>(kAlignment);
  wire::HardState hard_state_;
  std::uint64_t current_term_ = 1;
  wire::LogIndex last_index_;
  std::vector<wire::Term> terms_;  // by index
  wire::LogIndex membership_index_;
  std::uint64_t header_size_ = 0;
  std::uint64_t end_offset_ = 0;
  std::uint64_t sequence_ = 1;
  std::uint64_t durable_ = 0;
  std::int64_t time_us_ = kNoonUs;
};

// A log of three segments with all that there is, which ends in a watermark: entries 1 to 12, of
// which 8 and 9 were first written in term 2 and then again in term 3.
LogWriter write_sample_log(const std::filesystem::path& directory, LogWriterOptions options = {});

struct Outcome {
  int code = 0;
  std::string out;
  std::string err;
};
Outcome run_inspect(const std::vector<std::string>& args);

}  // namespace bib::inspect
