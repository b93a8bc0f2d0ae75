#include "projections/rules/rules.h"

#include <cstdint>
#include <utility>

#include "wire/base/text.h"

namespace bib::projections {

using wire::ErrorCode;
using wire::fail;
using wire::Status;

Status check_name(std::string_view name, std::string_view what) {
  if (name.empty()) return fail(ErrorCode::kInvalid, "{} is empty: give it a name.", what);
  if (name.size() > wire::kNameSizeMax) {
    return fail(ErrorCode::kInvalid, "{} has {} bytes, more than the {} allowed: shorten it.", what,
                name.size(), wire::kNameSizeMax);
  }
  for (std::size_t i = 0; i < name.size();) {
    if (name[i] >= 0x20 && name[i] < 0x7f) {  // printable ASCII: nearly always
      ++i;
      continue;
    }
    const wire::Character character = wire::first_character(name.substr(i));
    if (character.size == 0) {
      return fail(ErrorCode::kInvalid, "{} is not valid UTF-8 at byte {}: encode it as UTF-8.",
                  what, i);
    }
    if (wire::is_control(character.code)) {
      return fail(ErrorCode::kInvalid,
                  "{} has a control character (U+{:04X}) at byte {}: remove it.", what,
                  character.code, i);
    }
    i += character.size;
  }
  return {};
}

Status check_topic_path(std::string_view path) {
  BIB_TRY_VOID(check_name(path, "The topic's path"));
  std::size_t depth = 0;
  for (std::size_t begin = 0; begin <= path.size(); ++depth) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (begin == end) {
      return fail(ErrorCode::kInvalid,
                  "The topic's path '{}' has an empty part: use names separated by single slashes, "
                  "without one at the beginning or the end.",
                  path);
    }
    begin = end + 1;
  }
  if (depth > kTopicDepthMax) {
    return fail(ErrorCode::kInvalid,
                "The topic's path '{}' has {} parts, more than the {} allowed: use a flatter one.",
                path, depth, kTopicDepthMax);
  }
  return {};
}

std::string_view parent_path(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

Refusal refuse(wire::Error error, wire::Revision current) {
  return {std::move(error), current};
}

Refusal revision_conflict(wire::Revision expected, wire::Revision current,
                          std::string_view stream) {
  if (current == wire::Revision()) {
    return refuse(ErrorCode::kRevisionConflict, current,
                  "{} does not exist, but revision {} was expected. Nothing was changed; read it "
                  "again and decide again.",
                  stream, expected.value());
  }
  return refuse(ErrorCode::kRevisionConflict, current,
                "{} is at revision {}, but {} was expected: somebody else changed it. Nothing was "
                "changed; read it and decide again.",
                stream, current.value(),
                expected == wire::Revision() ? std::string("that it does not exist")
                                             : fmt::format("revision {}", expected.value()));
}

}  // namespace bib::projections
