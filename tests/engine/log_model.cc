#include "log_model.h"

#include <algorithm>

#include "engine/storage/log_reader.h"
#include "wire/base/check.h"
#include "wire/base/checksum.h"

namespace bib::engine {

using wire::Bytes;
using wire::LogIndex;
using wire::LogPosition;
using wire::Term;

namespace {

wire::EntryStamp stamp(std::uint64_t index, std::uint64_t term) {
  return {.cluster = test_options().cluster,
          .term = Term(term),
          .index = LogIndex(index),
          .time_us = static_cast<std::int64_t>(1000 * index)};
}

std::string describe_entry(const Bytes& entry) {
  const auto header = wire::read_entry_header(entry.view());
  BIB_CHECK(header.has_value());
  return fmt::format(" {}/{}:{:016x}", header->index.value(), header->term.value(),
                     wire::checksum64(entry.view()));
}

}  // namespace

LogStoreOptions test_options() {
  LogStoreOptions options;
  options.cluster.bytes.fill(0xc1);
  options.node = wire::NodeId(0xabcdef);
  options.segment_bytes = wire::kSegmentSizeMin;
  options.block_bytes_max = 8192;
  options.random = [] { return 0x1234567890abcdefULL; };
  options.now_us = [] { return std::int64_t{1700000000000000}; };
  return options;
}

Bytes make_entry(std::uint64_t index, std::uint64_t term, std::size_t size, std::uint64_t seed) {
  wire::Prng prng(seed * 1000003 + index * 31 + term);
  std::vector<std::uint8_t> event(size);
  for (std::uint8_t& byte : event) byte = static_cast<std::uint8_t>(prng.next());
  wire::EntryBuilder builder;
  builder.add_event(event);
  return builder.seal(stamp(index, term));
}

std::vector<std::uint8_t> membership_of(std::uint64_t voter) {
  wire::Membership membership;
  membership.voters = {wire::NodeId(voter)};
  membership.members = {{.id = wire::NodeId(voter),
                         .raft_address = "127.0.0.1:4002",
                         .api_address = "127.0.0.1:4000"}};
  return wire::encode_membership(membership);
}

Bytes membership_entry(std::uint64_t index, std::uint64_t term, std::uint64_t voter) {
  return wire::make_membership_entry(stamp(index, term), membership_of(voter));
}

LogPosition LogModel::last() const {
  if (entries.empty()) return base;
  const auto header = wire::read_entry_header(entries.back().view());
  return {header->index, header->term};
}

Term LogModel::term_at(std::uint64_t index) const {
  if (index == base.index.value()) return base.term;
  return wire::read_entry_header(entries.at(index - base.index.value() - 1).view())->term;
}

void LogModel::apply(const LogStoreWrite& write) {
  if (write.hard_state) hard_state = *write.hard_state;
  if (write.reset) {
    base = write.reset->position;
    entries.clear();
    const auto membership = wire::decode_membership(write.reset->membership);
    memberships.assign(1,
                       {write.reset->membership_index.value(), membership->voters.front().value()});
  }
  if (write.truncate_from) {
    entries.resize(*write.truncate_from - base.index - 1);
    while (!memberships.empty() && memberships.back().first >= write.truncate_from->value()) {
      memberships.pop_back();
    }
  }
  for (const Bytes& entry : write.entries) {
    entries.push_back(entry);
    const auto reader = wire::EntryReader::open(entry);
    if (reader->header().kind != wire::EntryKind::kMembership) continue;
    const auto membership = wire::decode_membership(reader->body());
    memberships.emplace_back(reader->header().index.value(), membership->voters.front().value());
  }
}

std::vector<LogStoreWrite> LogModel::split(const LogStoreWrite& write) {
  std::vector<LogStoreWrite> parts;
  if (write.hard_state) parts.emplace_back().hard_state = write.hard_state;
  if (write.reset) parts.emplace_back().reset = write.reset;
  if (write.truncate_from) parts.emplace_back().truncate_from = write.truncate_from;
  for (const Bytes& entry : write.entries) parts.emplace_back().entries = {entry};
  return parts;
}

std::string LogModel::describe() const {
  std::string text = fmt::format("term {} vote {} base {}/{} members", hard_state.term.value(),
                                 hard_state.vote.value(), base.index.value(), base.term.value());
  for (const auto& [index, voter] : memberships) text += fmt::format(" {}={}", index, voter);
  text += " entries";
  for (const Bytes& entry : entries) text += describe_entry(entry);
  return text;
}

std::string LogModel::describe(FileSystem& files, LogStore::Recovered& recovered) {
  LogModel model;
  model.hard_state = recovered.hard_state;
  model.base = recovered.log.base();
  for (const wire::LoggedMembership& found : recovered.memberships) {
    model.memberships.emplace_back(found.index.value(), found.membership.voters.front().value());
  }
  const auto locations = recovered.store->locations();
  BIB_CHECK(locations->base() == recovered.log.base());
  BIB_CHECK(locations->last() == recovered.log.last());
  LogReader reader(files, recovered.store->directory(), locations);
  LogIndex next = model.base.index + 1;
  while (next <= recovered.log.last_index()) {
    auto entries = reader.read(next, recovered.log.last_index(), 20000);
    if (!entries) return entries.error().message;
    next = next + entries->size();
    for (Bytes& entry : *entries) {
      const auto header = wire::read_entry_header(entry.view());
      BIB_CHECK(recovered.log.term_at(header->index) == header->term);
      BIB_CHECK(recovered.log.size_of(header->index) == header->size);
      model.entries.push_back(std::move(entry));
    }
  }
  return model.describe();
}

LogStoreWrite random_write(const LogModel& model, wire::Prng& prng, const Appetite& appetite) {
  LogStoreWrite write;
  LogPosition last = model.last();
  std::uint64_t term = std::max(last.term.value(), model.hard_state.term.value());
  term += prng.below(4) == 0 ? 1 : 0;
  if (term != model.hard_state.term.value() || prng.below(8) == 0) {
    write.hard_state = {Term(term), wire::NodeId(prng.below(4))};
  }
  if (prng.chance_ppm(appetite.reset_ppm)) {
    last = {last.index + 1 + prng.below(50), Term(term)};
    write.reset = LogReset{.position = last,
                           .membership_index = last.index,
                           .membership = membership_of(1 + prng.below(9))};
  } else if (!model.entries.empty() && prng.chance_ppm(appetite.truncate_ppm)) {
    const std::uint64_t gone = 1 + prng.below(std::min<std::size_t>(model.entries.size(), 12));
    last.index = last.index - gone;
    last.term = model.term_at(last.index.value());
    write.truncate_from = last.index + 1;
  }
  for (std::uint64_t count = prng.below(5); count > 0; --count) {
    const std::uint64_t index = (++last.index).value();
    const bool membership = prng.below(16) == 0;
    const std::size_t size = 1 + prng.below(appetite.entry_bytes_max);
    write.entries.push_back(membership ? membership_entry(index, term, 1 + prng.below(9))
                                       : make_entry(index, term, size, prng.next()));
  }
  return write;
}

}  // namespace bib::engine
