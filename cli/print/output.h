// Output: data as a table, JSON or YAML on stdout; everything else on stderr.
//
// A command builds one Json value for machines and, for people, a Table or text; emit() prints the
// one that -o asks for. Text from a cluster never reaches a terminal with control characters in it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/result.h"
#include "wire/base/text.h"

namespace bib::cli {

using Json = nlohmann::ordered_json;

enum class OutputFormat : std::uint8_t { kTable, kJson, kYaml };

// Columns padded to their widest cell. Without rows, render() gives only the header.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}

  void add(std::vector<std::string> row);
  void align_right(std::size_t column);
  bool empty() const { return rows_.empty(); }
  std::string render() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> right_;
};

// "Key:   value" lines with the values in one column; rows with an empty value are left out.
std::string render_fields(const std::vector<std::pair<std::string, std::string>>& fields);

using wire::printable;
// Terminal columns of a UTF-8 text, one for each code point.
std::size_t display_width(std::string_view text);

// Bytes that are not UTF-8 become U+FFFD; never throws.
std::string to_json_text(const Json& value, bool indented);
// Block style; texts that YAML could read as something else are quoted.
std::string to_yaml_text(const Json& value);

}  // namespace bib::cli
