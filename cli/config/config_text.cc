#include "cli/config/config_text.h"

#include <algorithm>

#include "cli/client/address.h"
#include "cli/print/units.h"
#include "wire/base/units.h"

namespace bib::cli {
namespace {

using wire::ConfigKey;
using wire::ConfigValue;
using wire::ErrorCode;
using enum wire::ValueKind;

wire::Result<ConfigValue> parse_flag(const ConfigKey& key, std::string_view text) {
  if (text == "true" || text == "false") return text == "true";
  return wire::fail(ErrorCode::kConfig, "'{}' is not a truth value: {}", text, allowed_text(key));
}

wire::Result<ConfigValue> parse_path(std::string_view text, std::string_view home) {
  if (text == "~" || text.substr(0, 2) == "~/") {
    if (home.empty()) {
      return wire::fail(ErrorCode::kConfig, "'{}': HOME is not set; give an absolute path", text);
    }
    return fmt::format("{}{}", home, text.substr(1));
  }
  if (text.empty() || text.front() != '/') {
    return wire::fail(ErrorCode::kConfig, "'{}' is not an absolute path (/... or ~/...)", text);
  }
  return std::string(text);
}

wire::Result<ConfigValue> parse_number(const ConfigKey& key, std::string_view text) {
  const auto value = key.kind == kDuration ? wire::parse_duration(text)
                     : key.kind == kSize   ? wire::parse_size(text)
                                           : wire::parse_count(text);
  if (value) return *value;
  return wire::fail(ErrorCode::kConfig, "{}; it may be {}", value.error().message,
                    allowed_text(key));
}

wire::Result<ConfigValue> parse_addresses(std::string_view text) {
  std::vector<std::string> addresses;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    BIB_TRY(const wire::Address address, parse_host_port(item));
    addresses.push_back(to_string(address));
  }
  return addresses;
}

wire::Result<ConfigValue> parse_value(const ConfigKey& key, std::string_view text,
                                      std::string_view home) {
  switch (key.kind) {
    case kBool:
      return parse_flag(key, text);
    case kDuration:
    case kSize:
    case kCount:
      return parse_number(key, text);
    case kAddressList:
      return parse_addresses(text);
    default:
      break;
  }
  // A text that is empty by default may be written as empty: the same as leaving the line out.
  if (text.empty() && std::get<std::string_view>(key.preset).empty()) return std::string();
  if (key.kind == kPath) return parse_path(text, home);
  if (key.kind == kAddress) {
    BIB_TRY(const wire::Address address, parse_host_port(text));
    return to_string(address);
  }
  return std::string(text);
}

}  // namespace

wire::Status set_from_text(wire::NodeConfig& config, const ConfigKey& key, std::string_view text,
                           std::string_view home) {
  const auto value = parse_value(key, text, home);
  if (!value) return wire::fail(ErrorCode::kConfig, "{}", value.error().message);
  if (const auto status = check_value(key, *value); !status) {
    const bool is_word = key.kind == kLogLevel;
    return wire::fail(ErrorCode::kConfig, "{}{}", status.error().message,
                      is_word ? did_you_mean(text, wire::kLogLevels) : "");
  }
  set_value(config, key, *value);
  return {};
}

}  // namespace bib::cli
