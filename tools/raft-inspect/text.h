// Text for a person at three in the morning: times, sizes, columns, colours. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bib::inspect {

// "2026-03-01 12:00:00.250000", UTC.
std::string time_text(std::int64_t time_us);
// "2 d 3 h", "12 min 5 s", "250 ms": two units at most.
std::string duration_text(std::int64_t duration_us);
// "192 B", "1.2 KiB", "64.0 MiB".
std::string size_text(std::uint64_t bytes);
// "63,412".
std::string count_text(std::uint64_t count);
// "1 entry", "63,412 entries".
std::string counted(std::uint64_t count, std::string_view one, std::string_view many);

// Text from the log, safe for a terminal: control characters and bytes that are not UTF-8 as JSON
// escapes, so that JSON stays JSON.
std::string printable(std::string_view text);

// Colours, or none.
class Paint {
 public:
  explicit Paint(bool enabled) : enabled_(enabled) {}
  std::string bad(std::string_view text) const { return wrap("31;1", text); }
  std::string good(std::string_view text) const { return wrap("32;1", text); }
  std::string warn(std::string_view text) const { return wrap("33", text); }
  std::string faint(std::string_view text) const { return wrap("2", text); }

 private:
  std::string wrap(std::string_view code, std::string_view text) const;
  bool enabled_;
};

// Columns padded to their widest cell, each line indented by two.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void align_right(std::size_t column) { right_.push_back(column); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string render() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> right_;
};

// "Label       value".
std::string field_line(std::string_view label, std::string_view value);

}  // namespace bib::inspect
