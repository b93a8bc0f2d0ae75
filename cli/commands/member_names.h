// Names of members on the command line: the id, or as much of its beginning as is unique.
#pragma once

#include <span>
#include <string_view>

#include "cli/commands/cluster_view.h"

namespace bib::cli {

// kInvalid: no id, or the beginning of several. kNotFound: the beginning of none; a whole id is
// taken as it is, because a member that is gone may still be named when a command is repeated.
wire::Result<wire::NodeId> find_member(std::span<const MemberView> members, std::string_view text);

}  // namespace bib::cli
