#include "cli/importers/record_source.h"

#include "cli/importers/deb822.h"
#include "cli/importers/frictionless.h"
#include "cli/importers/line_reader.h"

namespace bib::cli {
namespace {

constexpr std::size_t kLookAhead = 64U << 10;

bool has_line_with(std::string_view text, std::string_view beginning) {
  for (std::size_t at = text.find(beginning); at != std::string_view::npos;
       at = text.find(beginning, at + 1)) {
    if (at == 0 || text[at - 1] == '\n') return true;
  }
  return false;
}

bool is_compressed(std::string_view text) {
  using namespace std::string_view_literals;
  for (std::string_view magic :
       {"\xfd"
        "7zXZ\0"sv,
        "\x1f\x8b"sv, "BZh"sv, "\x28\xb5\x2f\xfd"sv, "\x04\x22\x4d\x18"sv}) {
    if (text.substr(0, magic.size()) == magic) return true;
  }
  return false;
}

// "frictionless", "deb822", or what the input looks like instead.
wire::Result<std::string> detect(std::string_view head) {
  using wire::ErrorCode;
  const std::size_t begin = head.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) {
    return wire::fail(ErrorCode::kInvalid, "is empty: there is nothing to import");
  }
  if (head[begin] == '{') return std::string("frictionless");
  if (has_line_with(head, "Package:")) return std::string("deb822");
  if (is_compressed(head)) {
    return wire::fail(ErrorCode::kInvalid,
                      "is compressed; unpack it into a pipe: xz -dc FILE | bib catalog import -");
  }
  if (has_line_with(head, "resources:")) {
    return wire::fail(ErrorCode::kInvalid,
                      "looks like a Data Package in YAML; only JSON (datapackage.json) is read");
  }
  return wire::fail(ErrorCode::kInvalid,
                    "is neither a Data Package (datapackage.json) nor a Debian package index; "
                    "say which with --format frictionless or --format deb822");
}

}  // namespace

wire::Result<std::unique_ptr<RecordSource>> open_source(std::istream& in, SourceOptions options) {
  auto lines = std::make_unique<LineReader>(in);
  // What some editors put before UTF-8.
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (lines->peek(kByteOrderMark.size()) == kByteOrderMark) lines->skip(kByteOrderMark.size());
  if (options.format.empty()) {
    BIB_TRY(options.format, detect(lines->peek(kLookAhead)));
  }
  if (options.format == "deb822") return make_deb822_source(std::move(lines), std::move(options));
  return make_frictionless_source(std::move(lines), std::move(options));
}

}  // namespace bib::cli
