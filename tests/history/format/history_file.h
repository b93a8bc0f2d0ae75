// Histories as JSON lines: one event a line, in the order in which they happened
// (docs/testing.md describes every field).
//
//   {"index":1,"time":1200,"process":3,"type":"invoke","f":"write","key":"k","value":{"value":"a"}}
//   {"index":2,"time":1900,"process":3,"type":"ok","f":"write","key":"k","value":{"revision":1}}
//
// Pure functions over text; files are the caller's. A line is bytes from outside: whatever is wrong
// with it is an Error that names the line and the field.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/linearizability.h"
#include "wire/base/result.h"

namespace bib::history {

inline constexpr std::size_t kLineSizeMax = 1U << 20;
inline constexpr std::size_t kEventsMax = 20'000'000;

enum class EventType : std::uint8_t { kInvoke, kOk, kFail, kInfo };

// One line. Of an invocation: what is asked; of a completion: what was answered.
struct Event {
  std::uint64_t index = 0;     // from 1, each more than the one before
  std::int64_t time_us = 0;    // since the history began; never goes back
  std::optional<int> process;  // absent: "nemesis", a fault that was done; only for the reader
  EventType type = EventType::kInvoke;
  // read, write, cas (a write with `expected`), delete, or the nemesis's word.
  std::string f{};
  std::string key{};
  std::optional<std::string> value{};
  std::optional<std::uint64_t> expected{};
  std::optional<std::uint64_t> revision{};
  std::string error{};  // of fail and info: why
};

// With the newline.
std::string to_line(const Event& event);
wire::Result<Event> parse_line(std::string_view line);

// Builds operations from events, and checks that these can be one history: indices and times go
// up, a process has one call at a time, an answer is that of its call.
class HistoryReader {
 public:
  wire::Status add(const Event& event);
  const std::vector<support::Operation>& operations() const { return operations_; }
  // Calls without an answer count as unknown.
  std::size_t open_calls() const { return open_.size(); }

 private:
  std::vector<support::Operation> operations_;
  std::map<int, std::size_t> open_;
  std::uint64_t last_index_ = 0;
  std::int64_t last_time_us_ = 0;
};

// The whole text of a file. kInvalid: "line 7: ...".
wire::Result<std::vector<support::Operation>> read_history(std::string_view text);

// The call's side of an operation, and its answer's.
Event invocation(const support::Operation& operation, std::uint64_t index, std::int64_t time_us);
Event completion(const support::Operation& operation, std::uint64_t index, std::int64_t time_us,
                 std::string error);

}  // namespace bib::history
