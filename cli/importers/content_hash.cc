#include "cli/importers/content_hash.h"

#include <string_view>

namespace bib::cli {
namespace {

std::string to_lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

struct HashAlgorithm {
  std::string_view name;
  std::size_t digits;
};
constexpr HashAlgorithm kHashAlgorithms[] = {
    {"md5", 32}, {"sha1", 40}, {"sha256", 64}, {"sha512", 128}};

}  // namespace

wire::Result<std::string> checked_hash(std::string text) {
  if (text.empty()) return text;
  if (text.find(':') == std::string::npos) text.insert(0, "md5:");
  const std::size_t colon = text.find(':');
  const std::string name = to_lower(text.substr(0, colon));
  const std::string_view digits = std::string_view(text).substr(colon + 1);
  for (const HashAlgorithm& algorithm : kHashAlgorithms) {
    if (name != algorithm.name) continue;
    if (digits.size() != algorithm.digits ||
        digits.find_first_not_of("0123456789abcdefABCDEF") != digits.npos) {
      return wire::fail(wire::ErrorCode::kInvalid, "the hash is not {} hex digits, as {} has{}",
                        algorithm.digits, algorithm.name,
                        name == "md5" ? "; another algorithm is named before a colon" : "");
    }
    return to_lower(std::move(text));
  }
  if (name.empty() || digits.empty()) {
    return wire::fail(wire::ErrorCode::kInvalid,
                      "the hash is not an algorithm, a colon and a hash");
  }
  return text;
}

}  // namespace bib::cli
