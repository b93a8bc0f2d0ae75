#include "inspect/survey.h"

#include <algorithm>
#include <utility>

namespace bib::inspect {

using wire::LogIndex;
using wire::RecordKind;

bool has_damage(const Findings& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.kind == FindingKind::kDamage; });
}

bool is_whole(const Findings& findings) {
  return std::all_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.kind == FindingKind::kNote; });
}

void VoidEntries::add(std::uint64_t ordinal, LogIndex index) {
  truncations_.push_back({ordinal, index});
}

void VoidEntries::complete() {
  for (std::size_t i = truncations_.size(); i-- > 1;) {
    truncations_[i - 1].from = std::min(truncations_[i - 1].from, truncations_[i].from);
  }
}

bool VoidEntries::contains(std::uint64_t ordinal, LogIndex index) const {
  const auto later = std::upper_bound(
      truncations_.begin(), truncations_.end(), ordinal,
      [](std::uint64_t wanted, const Truncation& one) { return wanted < one.ordinal; });
  return later != truncations_.end() && later->from <= index;
}

namespace {

// How often the log is walked while a running node lets go of its oldest segments.
constexpr int kWalksMax = 8;

// How many of the last entries' event counts are kept, to take off those of overwritten ones.
constexpr std::size_t kRememberedMax = 1U << 20;

class Surveyor final : public wire::LogVisitor {
 public:
  Surveyor(const std::string& directory, wire::LogVisitor* also) : also_(also) {
    survey.directory = directory;
  }

  void begin(const wire::WalkedSegment& segment, const wire::LogState& state) override {
    if (also_ != nullptr) also_->begin(segment, state);
    if (!segment.begins_log || survey.records == 0) return;
    // A snapshot took the place of all that was logged before.
    survey.voids.add(survey.records, LogIndex(0));
    survey.overwritten += survey.entries;
    survey.entries = 0;
    survey.events = 0;
    survey.first_index = LogIndex();
    survey.events_are_exact = true;
    remembered_.clear();
  }

  void record(const wire::WalkedRecord& place, const wire::LogState& state) override {
    if (also_ != nullptr) also_->record(place, state);
    ++survey.records;
    const wire::Record& record = place.record;
    if (record.kind == RecordKind::kTruncate) return truncate(place, state);
    if (record.kind == RecordKind::kEntry) add(record.entry);
  }

  void end(const wire::WalkedSegment& segment) override {
    if (also_ != nullptr) also_->end(segment);
    survey.segments.push_back(segment);
    survey.segments.back().header.schema.clear();  // as large as all the rest
  }

  void found(const wire::LogFinding& finding) override {
    survey.findings.push_back(finding_of(survey.directory, finding));
  }

  Survey survey;

 private:
  void add(const wire::EntryHeader& entry) {
    survey.entries += 1;
    survey.events += entry.event_count;
    survey.body_bytes += entry.body_size;
    survey.stored_body_bytes += entry.stored_body_size;
    if (survey.first_index == LogIndex()) survey.first_index = entry.index;
    if (!survey.first_time_us) survey.first_time_us = entry.time_us;
    survey.last_time_us = entry.time_us;
    if (remembered_.size() == kRememberedMax) remembered_.pop_front();
    remembered_.push_back(entry.event_count);
  }

  void truncate(const wire::WalkedRecord& place, const wire::LogState& state) {
    const LogIndex from = place.record.truncate_from;
    survey.voids.add(place.ordinal, from);
    const LogIndex last = state.last().index;
    const std::uint64_t count = from > last ? 0 : std::min(last - from + 1, survey.entries);
    for (std::uint64_t i = 0; i < count && !remembered_.empty(); ++i) {
      survey.events -= remembered_.back();
      remembered_.pop_back();
    }
    survey.entries -= count;
    survey.overwritten += count;
    if (remembered_.empty() && survey.entries > 0) survey.events_are_exact = false;
    if (survey.entries == 0) survey.first_index = LogIndex();
  }

  wire::LogVisitor* const also_;
  std::deque<std::uint32_t> remembered_;
};

}  // namespace

std::uint64_t Survey::file_bytes() const {
  std::uint64_t bytes = 0;
  for (const wire::WalkedSegment& segment : segments) bytes += segment.bytes;
  return bytes;
}

std::uint64_t Survey::durable_sequence() const {
  std::uint64_t highest = 0;
  for (const wire::WalkedSegment& segment : segments) {
    // The seal is followed by a sync before anything is written after it.
    const bool whole = segment.end == wire::SegmentEnd::kSealed && segment.next_sequence > 0;
    highest = std::max(highest, whole ? segment.next_sequence - 1 : segment.durable_sequence);
  }
  return highest;
}

std::uint64_t Survey::last_sequence() const {
  std::uint64_t highest = 0;
  for (const wire::WalkedSegment& segment : segments) {
    if (segment.next_sequence > 0) highest = std::max(highest, segment.next_sequence - 1);
  }
  return highest;
}

bool Survey::closed_cleanly() const {
  const auto last =
      std::find_if(segments.rbegin(), segments.rend(),
                   [](const wire::WalkedSegment& segment) { return !segment.is_blank; });
  return last != segments.rend() && last->is_ours && last->end == wire::SegmentEnd::kClosed;
}

wire::Result<Survey> survey_log(const std::string& log_directory,
                                const std::function<wire::LogVisitor*()>& also) {
  for (int walks = 1;; ++walks) {
    const auto first = first_segment(log_directory);
    const auto note = read_commit_note(log_directory);
    Surveyor surveyor(log_directory, also());
    auto log = walk_log(log_directory, surveyor);
    if (!log) {
      const bool was_cut = first_segment(log_directory) != first;
      if (was_cut && walks < kWalksMax) continue;
      return tl::unexpected(log.error());
    }
    surveyor.survey.log = *std::move(log);
    // A log with damage is not known to its end.
    if (is_whole(surveyor.survey.findings)) {
      CommittedSource source = judge_committed(log_directory, note, surveyor.survey.log);
      surveyor.survey.committed = source.committed;
      if (source.finding) surveyor.survey.findings.push_back(*std::move(source.finding));
    }
    surveyor.survey.voids.complete();
    return std::move(surveyor.survey);
  }
}

}  // namespace bib::inspect
