// LineLimit: how many lines on one subject a log takes in a period; what comes beyond is counted,
// and told once the period has ended.
//
// For lines that others can cause, as often as they like. Has no clock: times are those of a
// monotonic one, in milliseconds, and do not go back. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bib::engine {

struct LineLimitOptions {
  std::uint32_t lines_max = 50;      // of one subject in a period
  std::uint64_t period_ms = 10'000;  // from a subject's first line on
  std::size_t subjects_max = 1024;   // that are told apart; what is beyond counts as one more
};

class LineLimit {
 public:
  using Options = LineLimitOptions;

  explicit LineLimit(Options options = {}) : options_(options) {}

  // Whether a line on this subject may be written now.
  [[nodiscard]] bool take(std::string_view subject, std::uint64_t now_ms);

  struct LeftOut {
    std::string subject;  // empty: of all that were too many to be told apart
    std::uint64_t lines = 0;
  };
  // What was left out in periods that have ended; each once.
  std::vector<LeftOut> ended(std::uint64_t now_ms);
  // What was left out in all periods, ended or not: before the log ends.
  std::vector<LeftOut> all();
  // When ended() has more to say; nullopt: nothing was left out.
  std::optional<std::uint64_t> next_end_ms() const;

  std::uint64_t period_ms() const { return options_.period_ms; }

 private:
  struct Period {
    std::uint64_t ends_ms = 0;
    std::uint64_t lines = 0;
    std::uint64_t untold = 0;  // left out in earlier periods
  };
  using Periods = std::map<std::string, Period, std::less<>>;

  std::uint64_t left_out(const Period& period) const {
    return period.lines > options_.lines_max ? period.lines - options_.lines_max : 0;
  }
  Period& period_of(std::string_view subject, std::uint64_t now_ms);

  Options options_;
  Periods periods_;
};

}  // namespace bib::engine
