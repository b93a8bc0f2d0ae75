#include "cli/print/output.h"

#include <algorithm>

namespace bib::cli {
namespace {

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

std::string padded(const std::string& cell, std::size_t width, bool right) {
  const std::size_t used = display_width(cell);
  const std::string space(width > used ? width - used : 0, ' ');
  return right ? space + cell : cell + space;
}

void trim_right(std::string& line) {
  while (!line.empty() && line.back() == ' ') line.pop_back();
}

// Plain YAML scalars of this form cannot be taken for anything but a text.
bool is_plain_yaml(const std::string& text) {
  if (text.empty() || text.size() > 200) return false;
  if (!std::isalpha(static_cast<unsigned char>(text.front()))) return false;
  for (const char c : text) {
    if (!std::isalnum(static_cast<unsigned char>(c)) &&
        std::string_view("_-./").find(c) == std::string_view::npos) {
      return false;
    }
  }
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const std::string_view word :
       {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}) {
    if (lower == word) return false;
  }
  return true;
}

// JSON's scalars are YAML 1.2's, and so are its quoted texts.
std::string yaml_scalar(const Json& value) {
  if (value.is_string() && is_plain_yaml(value.get_ref<const std::string&>())) {
    return value.get<std::string>();
  }
  return to_json_text(value, false);
}

void write_yaml(const Json& value, std::size_t indent, std::string& out);

void write_yaml_child(const Json& value, std::size_t indent, std::string& out) {
  if (value.is_structured() && !value.empty()) {
    out += '\n';
    write_yaml(value, indent, out);
  } else {
    out +=
        ' ' + (value.is_structured() ? value.is_array() ? "[]" : "{}" : yaml_scalar(value)) + '\n';
  }
}

void write_yaml(const Json& value, std::size_t indent, std::string& out) {
  const std::string space(indent, ' ');
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, child] : value.items()) {
      out += space + yaml_scalar(Json(key)) + ':';
      write_yaml_child(child, indent + 2, out);
    }
  } else if (value.is_array() && !value.empty()) {
    for (const Json& child : value) {
      if (!child.is_structured() || child.empty()) {
        out += space + '-';
        write_yaml_child(child, indent + 2, out);
        continue;
      }
      std::string block;
      write_yaml(child, indent + 2, block);
      block[indent] = '-';  // the dash is in the child's first indentation
      out += block;
    }
  } else {
    out += space;
    write_yaml_child(value, indent, out);
  }
}

}  // namespace

void Table::add(std::vector<std::string> row) {
  row.resize(header_.size());
  for (std::string& cell : row) cell = printable(cell);
  rows_.push_back(std::move(row));
}

void Table::align_right(std::size_t column) {
  right_.push_back(column);
}

std::string Table::render() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < header_.size(); ++i) {
    std::size_t width = display_width(header_[i]);
    for (const auto& row : rows_) width = std::max(width, display_width(row[i]));
    widths.push_back(width);
  }
  std::string out;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) line += "  ";
      const bool right = std::find(right_.begin(), right_.end(), i) != right_.end();
      line += padded(cells[i], widths[i], right);
    }
    trim_right(line);
    out += line + '\n';
  };
  add_line(header_);
  for (const auto& row : rows_) add_line(row);
  return out;
}

std::string render_fields(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::size_t width = 0;
  for (const auto& [name, value] : fields) {
    if (!value.empty()) width = std::max(width, display_width(name));
  }
  std::string out;
  for (const auto& [name, value] : fields) {
    if (value.empty()) continue;
    out += padded(name + ":", width + 2, false) + printable(value) + '\n';
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  return text.size() -
         static_cast<std::size_t>(std::count_if(text.begin(), text.end(), is_continuation));
}

std::string to_json_text(const Json& value, bool indented) {
  return value.dump(indented ? 2 : -1, ' ', false, Json::error_handler_t::replace);
}

std::string to_yaml_text(const Json& value) {
  std::string out;
  if (value.is_structured() && !value.empty()) {
    write_yaml(value, 0, out);
  } else {
    out = value.is_structured() ? value.is_array() ? "[]\n" : "{}\n" : yaml_scalar(value) + '\n';
  }
  return out;
}

}  // namespace bib::cli
