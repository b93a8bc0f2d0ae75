#include "log_writer.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <utility>

#include "inspect/run.h"
#include "wire/base/membership.h"

namespace bib::inspect {

using wire::LogIndex;
using wire::NodeId;
using wire::Term;

namespace {

void write_at(const std::filesystem::path& file, std::uint64_t offset, wire::ByteView bytes) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(static_cast<std::streamoff>(offset));
  stream.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  stream.flush();
  REQUIRE(stream.good());
}

}  // namespace

wire::ClusterId LogWriterOptions::filled_cluster(std::uint8_t byte) {
  wire::ClusterId id;
  id.bytes.fill(byte);
  return id;
}

std::vector<std::uint8_t> LogWriterOptions::own_schema() {
  const wire::ByteView schema = wire::event_schema();
  return {schema.begin(), schema.end()};
}

std::vector<std::uint8_t> encoded(const wire::EventBody& body, std::uint64_t revision) {
  wire::EventEncoder encoder;
  const wire::ByteView bytes =
      encoder.encode({.revision = wire::Revision(revision), .origin = {}, .body = body});
  return {bytes.begin(), bytes.end()};
}

std::vector<std::uint8_t> membership_bytes() {
  wire::Membership membership;
  membership.voters = {NodeId(0xa1), NodeId(0xa2)};
  membership.learners = {NodeId(0xa3)};
  membership.members = {{NodeId(0xa1), "10.0.0.1:4002", "10.0.0.1:4000", true},
                        {NodeId(0xa2), "10.0.0.2:4002", "10.0.0.2:4000", true},
                        {NodeId(0xa3), "10.0.0.3:4002", "10.0.0.3:4000", false}};
  return wire::encode_membership(membership);
}

LogWriter::LogWriter(std::filesystem::path directory, LogWriterOptions options)
    : directory_(std::move(directory)), options_(std::move(options)) {
  std::filesystem::create_directories(directory_);
  header_.cluster = options_.cluster;
  header_.node = options_.node;
  header_.log_id = options_.log_id;
  header_.alignment = kAlignment;
  header_.schema = options_.schema;
  header_.created_us = kNoonUs;
  last_index_ = options_.base_index;
  terms_.assign(last_index_.value() + 1, options_.base_term);
  begin_segment();
}

std::filesystem::path LogWriter::path(std::uint64_t segment) const {
  return directory_ / wire::segment_file_name(segment);
}

void LogWriter::begin_segment() {
  header_.number += 1;
  header_.first_sequence = sequence_;
  header_.previous_index = last_index_;
  header_.previous_term = terms_[last_index_.value()];
  header_.hard_state = hard_state_;
  header_.membership_index = membership_index_;
  if (membership_index_ > LogIndex(0)) header_.membership = membership_bytes();
  const std::vector<std::uint8_t> bytes = wire::encode_segment_header(header_);
  std::ofstream(path(header_.number), std::ios::binary).close();
  std::filesystem::resize_file(path(header_.number), kSegmentBytes);
  write_at(path(header_.number), 0, bytes);
  header_size_ = bytes.size();
  end_offset_ = bytes.size();
}

wire::EntryStamp LogWriter::stamp() {
  time_us_ += 250'000;
  return {options_.cluster, Term(current_term_), last_index_ + 1, time_us_};
}

LogWriter& LogWriter::hard_state(std::uint64_t term, std::uint64_t vote) {
  hard_state_ = {Term(term), NodeId(vote)};
  current_term_ = term;
  builder_->add_hard_state(hard_state_);
  return *this;
}

LogWriter& LogWriter::truncate(std::uint64_t from) {
  builder_->add_truncate(LogIndex(from));
  last_index_ = LogIndex(from - 1);
  terms_.resize(from);
  return *this;
}

LogWriter& LogWriter::raw_entry(const wire::Bytes& entry) {
  builder_->add_entry(entry.view());
  const auto header = wire::read_entry_header(entry.view());
  REQUIRE(header);
  last_index_ = header->index;
  terms_.resize(last_index_.value() + 1);
  terms_.back() = header->term;
  return *this;
}

LogWriter& LogWriter::noop() {
  return raw_entry(wire::make_noop_entry(stamp()));
}

LogWriter& LogWriter::membership() {
  membership_index_ = last_index_ + 1;
  return raw_entry(wire::make_membership_entry(stamp(), membership_bytes()));
}

LogWriter& LogWriter::events(const std::vector<std::vector<std::uint8_t>>& events) {
  wire::EntryBuilder builder;
  for (const auto& event : events) builder.add_event(event);
  return raw_entry(builder.seal(stamp()));
}

LogWriter& LogWriter::event(const wire::EventBody& body, std::uint64_t revision) {
  return events({encoded(body, revision)});
}

void LogWriter::write_block(std::uint8_t flags, bool advance) {
  const wire::ByteView bytes = builder_->finish({.sequence = sequence_,
                                                 .log_id = header_.log_id,
                                                 .segment = header_.number,
                                                 .durable_sequence = durable_,
                                                 .flags = flags});
  REQUIRE(end_offset_ + bytes.size() + kAlignment <= kSegmentBytes);
  write_at(path(header_.number), end_offset_, bytes);
  if (advance) {
    end_offset_ += bytes.size();
    durable_ = sequence_++;
  }
  builder_->reset();
}

LogWriter& LogWriter::block(std::uint8_t flags) {
  write_block(flags, true);
  return *this;
}

LogWriter& LogWriter::watermark() {
  write_block(wire::kBlockWatermark, false);
  return *this;
}

LogWriter& LogWriter::close() {
  return block(wire::kBlockClosed);
}

LogWriter& LogWriter::roll() {
  block(wire::kBlockSealed);
  begin_segment();
  return *this;
}

LogWriter& LogWriter::roll_after_snapshot(std::uint64_t index, std::uint64_t term) {
  block(wire::kBlockSealed);
  last_index_ = LogIndex(index);
  terms_.assign(index + 1, Term(term));
  begin_segment();
  return *this;
}

LogWriter write_sample_log(const std::filesystem::path& directory, LogWriterOptions options) {
  LogWriter log(directory, std::move(options));
  log.hard_state(1, 0xa1).membership().block();  // 1
  log.noop().block();                            // 2
  log.events({encoded(wire::TopicCreated{"weather", "Wind and rain", "", {"alice"}, {}}, 1),
              encoded(wire::ConfigSet{"limits/upload", "250 MiB"}, 1)});  // 3
  log.block();
  log.hard_state(2, 0xa2).noop().block();                             // 4
  log.event(wire::ConfigSet{"limits/upload", "300 MiB"}, 2).block();  // 5
  log.roll();
  for (int i = 0; i < 4; ++i) {  // 6 to 9
    log.event(wire::ConfigSet{"k" + std::string(1, static_cast<char>('a' + i)), "v"}, 1);
    log.block();
  }
  log.hard_state(3, 0).truncate(8).noop().block();  // 8
  log.event(wire::ConfigUnset{"ka"}, 2).block();    // 9
  log.roll();
  const std::string value(9000, 'x');
  log.event(wire::ConfigSet{"big", value}, 1).block();                                    // 10
  log.event(wire::ConfigSet{"kb", "w"}, 2).event(wire::ConfigSet{"kb", "x"}, 3).block();  // 11, 12
  log.watermark();
  return log;
}

Outcome run_inspect(const std::vector<std::string>& args) {
  std::ostringstream out;
  std::ostringstream err;
  Outcome outcome;
  outcome.code = run(args, {.out = out, .err = err});
  outcome.out = out.str();
  outcome.err = err.str();
  return outcome;
}

}  // namespace bib::inspect
