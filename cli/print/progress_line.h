// ProgressLine: one line on a terminal's stderr that is drawn again and again.
//
// Owned by a command; one thread. Writes nothing where stderr is no terminal. A line that is wider
// than the terminal would wrap, and only its last row could be drawn over: it is cut.
#pragma once

#include <chrono>
#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>

namespace bib::cli {

class ProgressLine {
 public:
  // `err` is stderr's stream, and outlives this.
  ProgressLine(std::ostream& err, bool is_terminal) : err_(err), is_terminal_(is_terminal) {}
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Whether it is time to draw again: at most ten times a second.
  bool is_due();
  void show(std::string_view text);
  void clear();

 private:
  std::ostream& err_;
  const bool is_terminal_;
  std::chrono::steady_clock::time_point next_;
  bool shown_ = false;
};

// The text as far as `columns` columns hold it, one for each code point.
std::string cut_to_columns(std::string_view text, std::size_t columns);

}  // namespace bib::cli
