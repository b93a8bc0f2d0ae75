// raft-inspect log: the entries and their events, one line each.
#include <algorithm>
#include <ostream>
#include <utility>

#include "inspect/commands.h"
#include "wire/base/time_text.h"
#include "wire/log/entry.h"

namespace bib::inspect {

using wire::EntryKind;
using wire::LogIndex;
using wire::Record;
using wire::RecordKind;

namespace {

constexpr std::size_t kHexShown = 32;

std::string_view kind_name(EntryKind kind) {
  switch (kind) {
    case EntryKind::kNoop:
      return "no-op";
    case EntryKind::kEvents:
      return "events";
    case EntryKind::kMembership:
      return "membership";
  }
  return "unknown";
}

std::string_view codec_name(const wire::EntryHeader& entry) {
  if (entry.stored_body_size == 0) return "-";
  return entry.codec == wire::EntryCodec::kLz4 ? "lz4" : "none";
}

// An event that is to be shown, decoded or not.
struct ShownEvent {
  wire::Position position;
  wire::Result<DecodedEvent> decoded;
  wire::ByteView bytes;
};

struct ShownEntry {
  const wire::WalkedRecord& place;
  bool is_void = false;
  std::vector<ShownEvent> events;
  std::optional<wire::Membership> membership;
};

class TextPrinter {
 public:
  TextPrinter(const Console& console, LogIndex log_end)
      : out_(console.out),
        paint_(console.colour_out),
        width_(std::max<std::size_t>(5, std::to_string(log_end.value()).size())) {}

  void entry(const ShownEntry& shown) {
    const wire::EntryHeader& entry = shown.place.record.entry;
    head();
    const std::string events =
        entry.kind == EntryKind::kEvents ? count_text(entry.event_count) : "-";
    std::string line =
        fmt::format("{:>{}}  {:>5}  {}  {:<10}  {:>6}  {:>9}  {:<5}", entry.index.value(), width_,
                    entry.term.value(), time_text(entry.time_us), kind_name(entry.kind), events,
                    size_text(entry.size), codec_name(entry));
    line += shown.is_void ? "  void: overwritten later" : "";
    line.erase(line.find_last_not_of(' ') + 1);
    out_ << (shown.is_void ? paint_.faint(line) : line) << "\n";
    if (shown.membership) membership(*shown.membership);
    for (const ShownEvent& event : shown.events) this->event(event, shown.is_void);
  }

  void hard_state(const wire::WalkedRecord& place) {
    head();
    const wire::HardState& state = place.record.hard_state;
    record(fmt::format(
        "term {}, {}", state.term.value(),
        state.vote == wire::NodeId() ? "no vote" : "vote for " + to_string(state.vote)));
  }

  void truncation(const wire::WalkedRecord& place) {
    head();
    record(
        fmt::format("truncation: entries from {} on are void", place.record.truncate_from.value()));
  }

 private:
  void head() {
    if (std::exchange(has_head_, true)) return;
    out_ << paint_.faint(fmt::format("{:>{}}  {:>5}  {:<26}  {:<10}  {:>6}  {:>9}  CODEC", "INDEX",
                                     width_, "TERM", "TIME (UTC)", "KIND", "EVENTS", "SIZE"))
         << "\n";
  }

  void record(const std::string& text) {
    out_ << paint_.faint(std::string(width_ + 2, ' ') + text) << "\n";
  }

  void membership(const wire::Membership& membership) {
    for (const wire::Member& member : membership.members) {
      out_ << fmt::format("{:{}}{}  {:<9}  {}  {}\n", "", width_ + 2, to_string(member.id),
                          membership.is_voter(member.id) ? "voter" : "non-voter",
                          printable(member.raft_address), printable(member.api_address));
    }
  }

  void event(const ShownEvent& event, bool is_void) {
    const std::string position =
        fmt::format("{:>{}}:{:<4}", event.position.index.value(), width_, event.position.offset);
    std::string line;
    if (event.decoded) {
      const DecodedEvent& decoded = *event.decoded;
      const auto body = decoded.json.find("body");
      line = fmt::format("{}  {}", position, printable(decoded.type));
      const std::string stream = printable(decoded.stream.value_or("(stream not known)"));
      if (!stream.empty()) line += "  " + stream;
      if (decoded.revision > 0) line += fmt::format("  r{}", decoded.revision);
      if (body != decoded.json.end()) line += "  " + json_line(*body);
    } else {
      line = fmt::format("{}  {}: {}; {}: {}{}", position, paint_.bad("cannot be decoded"),
                         event.decoded.error().message, size_text(event.bytes.size()),
                         wire::to_hex(event.bytes.data(), std::min(event.bytes.size(), kHexShown)),
                         event.bytes.size() > kHexShown ? "..." : "");
    }
    out_ << (is_void ? paint_.faint(line) : line) << "\n";
  }

  std::ostream& out_;
  const Paint paint_;
  const std::size_t width_;
  bool has_head_ = false;
};

class JsonPrinter {
 public:
  explicit JsonPrinter(const Console& console) : out_(console.out) {}

  void entry(const ShownEntry& shown) {
    const wire::EntryHeader& entry = shown.place.record.entry;
    Json json{{"record", "entry"}, {"index", entry.index.value()}, {"term", entry.term.value()}};
    json["time"] = wire::format_time(entry.time_us);
    json["time_us"] = entry.time_us;
    json["kind"] = kind_name(entry.kind);
    json["events"] = entry.event_count;
    json["bytes"] = entry.size;
    json["codec"] = codec_name(entry) == "-" ? Json() : Json(codec_name(entry));
    json["body_bytes"] = entry.body_size;
    json["stored_body_bytes"] = entry.stored_body_size;
    json["void"] = shown.is_void;
    add_place(json, shown.place);
    if (shown.membership) json["membership"] = membership_json(*shown.membership);
    out_ << json_line(json) << "\n";
    for (const ShownEvent& event : shown.events) this->event(event, shown);
  }

  void hard_state(const wire::WalkedRecord& place) {
    const wire::HardState& state = place.record.hard_state;
    Json json{{"record", "hard_state"}, {"term", state.term.value()}};
    json["vote"] = state.vote == wire::NodeId() ? Json() : Json(to_string(state.vote));
    add_place(json, place);
    out_ << json_line(json) << "\n";
  }

  void truncation(const wire::WalkedRecord& place) {
    Json json{{"record", "truncation"}, {"from", place.record.truncate_from.value()}};
    add_place(json, place);
    out_ << json_line(json) << "\n";
  }

 private:
  static void add_place(Json& json, const wire::WalkedRecord& place) {
    json["segment"] = place.segment.number;
    json["offset"] = place.record.file_offset;
  }

  void event(const ShownEvent& event, const ShownEntry& shown) {
    Json json{{"record", "event"}, {"position", to_string(event.position)}};
    json["term"] = shown.place.record.entry.term.value();
    json["time"] = wire::format_time(shown.place.record.entry.time_us);
    json["void"] = shown.is_void;
    if (event.decoded) {
      json["type"] = event.decoded->type;
      const auto& stream = event.decoded->stream;
      json["stream"] = stream && !stream->empty() ? Json(*stream) : Json();
      for (const auto& [name, value] : event.decoded->json.items()) {
        if (!json.contains(name)) json[name] = value;
      }
    } else {
      json["error"] = event.decoded.error().message;
      json["bytes"] = wire::to_hex(event.bytes.data(), event.bytes.size());
    }
    out_ << json_line(json) << "\n";
  }

  std::ostream& out_;
};

// Picks what was asked for and hands it to a printer.
template <typename Printer>
class LogShow {
 public:
  LogShow(const LogOptions& options, const Survey& survey, Printer printer)
      : options_(options),
        survey_(survey),
        bounds_(options.range.bounds(survey.log.last().index)),
        printer_(std::move(printer)) {}

  void run() {
    FileBytes file;
    for (const wire::WalkedSegment& segment : survey_.segments) {
      const bool overlaps =
          segment.first_index <= bounds_.last && segment.last_index >= bounds_.first;
      if (!segment.is_ours || (!overlaps && !options_.records)) continue;
      next_index_ = segment.header.previous_index + 1;
      bool is_first = true;
      const auto status =
          read_again(survey_.directory, segment, file, [&](const wire::WalkedRecord& place) {
            if (std::exchange(is_first, false)) use_schema(place);
            show(place);
            return wire::Status();
          });
      if (!status) leave_out(segment, status.error());
    }
  }

  std::uint64_t shown() const { return shown_; }
  const Findings& findings() const { return findings_; }

 private:
  bool is_filtered() const { return !options_.stream_prefix.empty() || !options_.type.empty(); }

  // It was there when the log was surveyed.
  void leave_out(const wire::WalkedSegment& segment, const wire::Error& error) {
    const auto first = first_segment(survey_.directory);
    const bool was_let_go = first && *first > segment.number;
    std::string what = fmt::format("not shown: {}", error.message);
    if (was_let_go) {
      what = fmt::format(
          "not shown: the running node has compacted its log meanwhile; what was in this segment, "
          "entries {} to {}, is in its snapshots only",
          segment.first_index.value(), segment.last_index.value());
    }
    findings_.push_back({FindingKind::kUndone,
                         segment_path(survey_.directory, segment.number),
                         0,
                         segment.first_index,
                         std::move(what),
                         {}});
  }

  void use_schema(const wire::WalkedRecord& place) {
    if (const auto status = decoder_.use_schema_of(place.segment); !status) {
      findings_.push_back({FindingKind::kDamage,
                           segment_path(survey_.directory, place.segment.number),
                           wire::kSegmentHeaderFixedSize,
                           {},
                           fmt::format("the segment's schema: {}", status.error().message),
                           {}});
    }
  }

  void show(const wire::WalkedRecord& place) {
    const Record& record = place.record;
    if (record.kind == RecordKind::kEntry) {
      next_index_ = record.entry.index + 1;
      if (bounds_.contains(record.entry.index)) show_entry(place);
      return;
    }
    if (!options_.records || is_filtered()) return;
    if (record.kind == RecordKind::kTruncate) {
      if (!bounds_.contains(record.truncate_from)) return;
      printer_.truncation(place);
    } else {
      if (!bounds_.contains(next_index_)) return;
      printer_.hard_state(place);
    }
    ++shown_;
  }

  void show_entry(const wire::WalkedRecord& place) {
    ShownEntry shown{.place = place, .is_void = false, .events = {}, .membership = {}};
    const LogIndex index = place.record.entry.index;
    shown.is_void = survey_.voids.contains(place.ordinal, index);
    if (shown.is_void && !options_.records) return;
    const auto entry = wire::EntryReader::open(wire::Bytes::copy_of(place.record.content), true);
    if (!entry) {
      findings_.push_back({FindingKind::kDamage,
                           segment_path(survey_.directory, place.segment.number),
                           place.record.file_offset,
                           index,
                           entry.error().message,
                           {}});
    } else {
      if (place.record.entry.kind == EntryKind::kMembership) {
        if (auto membership = wire::decode_membership(entry->body())) {
          shown.membership = *std::move(membership);
        }
      }
      collect_events(*entry, shown);
    }
    if (is_filtered() && shown.events.empty()) return;
    printer_.entry(shown);
    ++shown_;
  }

  void collect_events(const wire::EntryReader& entry, ShownEntry& shown) {
    const wire::WalkedRecord& place = shown.place;
    for (std::size_t i = 0; i < entry.event_count(); ++i) {
      const wire::Position position{place.record.entry.index, static_cast<std::uint32_t>(i)};
      auto decoded = decoder_.decode(entry.event(i));
      if (!decoded) {
        findings_.push_back({FindingKind::kDamage,
                             segment_path(survey_.directory, place.segment.number),
                             place.record.file_offset,
                             position.index,
                             fmt::format("event {} cannot be decoded: {}", to_string(position),
                                         decoded.error().message),
                             {}});
      }
      if (matches(decoded)) shown.events.push_back({position, std::move(decoded), entry.event(i)});
    }
  }

  // What cannot be decoded could be anything.
  bool matches(const wire::Result<DecodedEvent>& event) const {
    if (!event) return true;
    if (!options_.type.empty() && event->type != options_.type) return false;
    if (options_.stream_prefix.empty()) return true;
    return event->stream && event->stream->starts_with(options_.stream_prefix);
  }

  const LogOptions& options_;
  const Survey& survey_;
  const IndexRange::Bounds bounds_;
  Printer printer_;
  EventDecoder decoder_;
  LogIndex next_index_;
  std::uint64_t shown_ = 0;
  Findings findings_;
};

void say_nothing_shown(const Survey& survey, const Console& console) {
  console.err << "raft-inspect: nothing matches; the log "
              << (survey.entries == 0
                      ? std::string("is empty")
                      : fmt::format("holds entries {} to {}", survey.first_index.value(),
                                    survey.log.last().index.value()))
              << "\n";
}

template <typename Printer>
ExitCode show(const LogOptions& options, const Survey& survey, const Console& console,
              Printer printer) {
  LogShow<Printer> log(options, survey, std::move(printer));
  log.run();
  if (log.shown() == 0 && is_whole(log.findings())) say_nothing_shown(survey, console);
  Findings findings = survey.findings;
  findings.insert(findings.end(), log.findings().begin(), log.findings().end());
  return report_findings(findings, console);
}

}  // namespace

ExitCode show_log(const LogOptions& options, const Console& console) {
  const auto directory = DataDirectory::find(options.common.directory);
  if (!directory) return report_error(directory.error(), console);
  const auto survey = survey_log(directory->log);
  if (!survey) return report_no_log(*directory, survey.error(), console);
  const LogIndex base = survey->log.base().index;
  if (options.range.first && *options.range.first <= base) {
    console.err << fmt::format(
        "The log starts after entry {}: what came before is in snapshots only.\n", base.value());
  }
  if (options.common.json) return show(options, *survey, console, JsonPrinter(console));
  return show(options, *survey, console, TextPrinter(console, survey->log.last().index));
}

}  // namespace bib::inspect
