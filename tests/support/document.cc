#include "support/document.h"

#include <algorithm>
#include <sstream>

#include "support/test_support.h"

namespace bib::support {
namespace {

std::size_t rank_of(std::string_view line) {
  const std::size_t rank = std::min(line.find_first_not_of('#'), line.size());
  return rank < line.size() && line[rank] == ' ' ? rank : 0;
}

bool is_rule(std::string_view row) {
  return row.find_first_not_of("|-: ") == std::string_view::npos;
}

// In a table a pipe has a backslash before it.
std::string without_escapes(std::string text) {
  for (std::size_t at = text.find("\\|"); at != std::string::npos; at = text.find("\\|", at)) {
    text.erase(at, 1);
  }
  return text;
}

}  // namespace

std::vector<std::string> document_lines(std::string_view file) {
  std::istringstream text(read_file(source_dir() / file));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> table_rows(const std::vector<std::string>& lines,
                                    std::string_view heading) {
  std::vector<std::string> rows;
  bool inside = heading.empty();
  bool in_block = false;  // where "# ..." is a comment
  for (std::size_t at = 0; at < lines.size(); ++at) {
    const std::string& line = lines[at];
    if (line.rfind("```", 0) == 0) in_block = !in_block;
    if (!heading.empty() && !in_block) {
      const std::size_t rank = rank_of(line);
      if (rank > 0 && rank <= rank_of(heading)) inside = line == heading;
    }
    if (!inside || line.empty() || line.front() != '|' || is_rule(line)) continue;
    const bool is_head = at + 1 < lines.size() && !lines[at + 1].empty() && is_rule(lines[at + 1]);
    if (!is_head) rows.push_back(line);
  }
  return rows;
}

std::vector<std::string> names_of(const std::vector<std::string>& rows) {
  std::vector<std::string> names;
  for (const std::string& row : rows) {
    if (row.rfind("| `", 0) != 0) continue;
    names.push_back(row.substr(3, row.find('`', 3) - 3));
  }
  return names;
}

std::vector<std::string> code_of(const std::vector<std::string>& lines) {
  std::vector<std::string> code;
  std::string text;  // outside of blocks
  bool in_block = false;
  bool continues = false;
  bool may_indent = true;  // a paragraph's or a list's indented line is no code
  for (const std::string& line : lines) {
    const bool is_indented = may_indent && line.rfind("    ", 0) == 0;
    may_indent = line.empty() || is_indented;
    if (line.rfind("```", 0) == 0) {
      in_block = !in_block;
      continues = false;
    } else if (in_block || is_indented) {
      if (!continues) code.emplace_back();
      continues = !line.empty() && line.back() == '\\';
      code.back() += ' ' + line.substr(0, line.size() - (continues ? 1 : 0));
    } else {
      text += line + ' ';
    }
  }
  for (std::size_t at = text.find('`'); at != std::string::npos; at = text.find('`', at)) {
    const std::size_t end = std::min(text.find('`', at + 1), text.size());
    code.push_back(without_escapes(text.substr(at + 1, end - at - 1)));
    at = end + 1;
  }
  return code;
}

}  // namespace bib::support
