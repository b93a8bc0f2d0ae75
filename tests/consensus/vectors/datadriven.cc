#include "datadriven.h"

#include <sstream>

namespace bib::vectors {
namespace {

constexpr std::string_view kSeparator = "----";

std::string strip(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin));
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> values;
  std::istringstream in(text);
  for (std::string value; std::getline(in, value, ',');) {
    if (!strip(value).empty()) values.push_back(strip(value));
  }
  return values;
}

// "command key=(a, b) key=c key"
void parse_directive(const std::string& line, Case& one) {
  std::size_t at = line.find_first_of(" \t");
  one.command = line.substr(0, at);
  while (at < line.size()) {
    at = line.find_first_not_of(" \t", at);
    if (at == std::string::npos) return;
    const std::size_t key_end = std::min(line.find_first_of("= \t", at), line.size());
    const std::string key = line.substr(at, key_end - at);
    std::vector<std::string>& values = one.arguments[key];
    at = key_end;
    if (at >= line.size() || line[at] != '=') continue;
    const bool is_list = at + 1 < line.size() && line[at + 1] == '(';
    const std::size_t from = at + (is_list ? 2 : 1);
    const std::size_t end =
        std::min(is_list ? line.find(')', from) : line.find_first_of(" \t", from), line.size());
    values = split_list(line.substr(from, end - from));
    at = end + 1;
  }
}

class Reader {
 public:
  explicit Reader(std::string_view text) : in_(std::string(text)) {}

  std::vector<Case> read() {
    std::string line;
    while (next(line)) {
      line = strip(line);
      if (line.empty() || line[0] == '#') continue;
      Case one;
      one.line = number_;
      std::string more;
      while (line.back() == '\\' && next(more)) {
        line.pop_back();
        line += " " + strip(more);
        if (line.empty()) break;
      }
      parse_directive(line, one);
      read_input(one);
      if (one.has_expected) read_expected(one);
      cases_.push_back(std::move(one));
    }
    return std::move(cases_);
  }

 private:
  bool next(std::string& line) {
    if (!std::getline(in_, line)) return false;
    ++number_;
    return true;
  }

  void read_input(Case& one) {
    for (std::string line; next(line);) {
      line = strip(line);
      if (line == kSeparator) {
        one.has_expected = true;
        return;
      }
      if (!line.empty()) one.input.push_back(line);
    }
  }

  void read_expected(Case& one) {
    std::string line;
    bool more = next(line);
    if (more && strip(line) == kSeparator) return read_with_blank_lines(one);
    for (; more && !strip(line).empty(); more = next(line)) one.expected.push_back(strip(line));
  }

  void read_with_blank_lines(Case& one) {
    bool after_separator = false;
    for (std::string line; next(line);) {
      line = strip(line);
      if (line == kSeparator && after_separator) {
        one.expected.pop_back();
        break;
      }
      after_separator = line == kSeparator;
      if (!line.empty()) one.expected.push_back(line);
    }
  }

  std::istringstream in_;
  int number_ = 0;
  std::vector<Case> cases_;
};

}  // namespace

std::vector<Case> read_cases(std::string_view text) {
  return Reader(text).read();
}

}  // namespace bib::vectors
