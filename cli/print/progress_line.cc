#include "cli/print/progress_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <ostream>

#include "cli/print/output.h"

namespace bib::cli {
namespace {

constexpr std::chrono::milliseconds kPause{100};
constexpr std::size_t kColumnsUnknown = 80;

// The width of the terminal at stderr as it is now: windows are resized.
std::size_t terminal_columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kColumnsUnknown;
  return size.ws_col;
}

}  // namespace

bool ProgressLine::is_due() {
  if (!is_terminal_) return false;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return false;
  next_ = now + kPause;
  return true;
}

void ProgressLine::show(std::string_view text) {
  if (!is_terminal_) return;
  // A line that fills its row leaves the cursor in different places on different terminals.
  const std::size_t columns = std::max<std::size_t>(terminal_columns(), 2) - 1;
  err_ << "\r\x1b[K" << cut_to_columns(text, columns) << std::flush;
  shown_ = true;
}

void ProgressLine::clear() {
  if (shown_) err_ << "\r\x1b[K" << std::flush;
  shown_ = false;
}

std::string cut_to_columns(std::string_view text, std::size_t columns) {
  std::string line(text);
  while (display_width(line) > columns) {
    // A code point of several bytes goes as a whole.
    while ((static_cast<unsigned char>(line.back()) & 0xc0) == 0x80 && line.size() > 1) {
      line.pop_back();
    }
    line.pop_back();
  }
  return line;
}

}  // namespace bib::cli
