// The datadriven format (github cockroachdb/datadriven), read from files of anybody's.
//
// Pure: text in, cases out. A case is a directive line, "command key=value key=(a, b) key", perhaps
// continued with a backslash; input lines; "----"; and the expected text, up to the first blank
// line, or, when it begins with a second "----", up to two such lines. Lines that begin with '#'
// before a directive are comments. Nothing is too odd to be refused: what is missing stays empty.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bib::vectors {

struct Case {
  int line = 0;  // of the directive, from 1
  std::string command;
  std::map<std::string, std::vector<std::string>> arguments;  // "key" alone: no values
  std::vector<std::string> input;
  bool has_expected = false;          // there was a "----"
  std::vector<std::string> expected;  // without blanks around its lines

  bool has(const std::string& key) const { return arguments.contains(key); }
};

std::vector<Case> read_cases(std::string_view text);

}  // namespace bib::vectors
