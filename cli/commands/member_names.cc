#include "cli/commands/member_names.h"

#include <algorithm>
#include <string>

namespace bib::cli {

using wire::ErrorCode;

wire::Result<wire::NodeId> find_member(std::span<const MemberView> members, std::string_view text) {
  const bool hex = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (!hex) {
    return wire::fail(
        ErrorCode::kInvalid,
        "'{}' is not a member's id, nor the beginning of one: ids are hexadecimal; see "
        "`bib cluster member list`",
        printable(text));
  }
  std::vector<wire::NodeId> found;
  std::vector<std::string> names;
  for (const MemberView& member : members) {
    std::string id = wire::to_string(member.id);
    if (!id.starts_with(text)) continue;
    found.push_back(member.id);
    names.push_back(std::move(id));
  }
  if (found.size() == 1) return found.front();
  if (found.size() > 1) {
    return wire::fail(ErrorCode::kInvalid, "'{}' is the beginning of {} ids: {}; give more of it",
                      text, found.size(), fmt::join(names, ", "));
  }
  if (const auto whole = wire::parse_node_id(text); whole && text.size() == 16) return *whole;
  return wire::fail(ErrorCode::kNotFound,
                    "no member's id begins with '{}'; see `bib cluster "
                    "member list`",
                    text);
}

}  // namespace bib::cli
