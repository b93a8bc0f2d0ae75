// The public test vectors of etcd's raft for quorum arithmetic and membership changes: majority
// commit and votes, joint ones, simple and joint changes. Looked for in BIB_VECTORS_DIR, then in
// vectors/etcd-raft of the shared data; skipped where there are none.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "consensus/changer.h"
#include "consensus/quorum.h"
#include "support/test_support.h"

namespace bib::consensus {

namespace {

using wire::Membership;
using wire::NodeId;

struct Directive {
  int line = 0;
  std::string command;
  std::map<std::string, std::vector<std::string>> arguments;
  std::vector<std::string> input;
  std::vector<std::string> expected;
};

std::optional<std::filesystem::path> vectors_dir() {
  if (const char* dir = std::getenv("BIB_VECTORS_DIR")) return std::filesystem::path(dir);
  const auto shared = support::shared_dir();
  if (!shared || !std::filesystem::exists(*shared / "vectors/etcd-raft")) return std::nullopt;
  return *shared / "vectors/etcd-raft";
}

std::string strip(std::string text) {
  text.erase(0, text.find_first_not_of(" \t\r"));
  text.erase(text.find_last_not_of(" \t\r") + 1);
  return text;
}

// "name key=(a, b) key=c" -> the values of each key.
void parse_directive(const std::string& text, Directive& directive) {
  std::size_t at = text.find(' ');
  directive.command = text.substr(0, at);
  while (at < text.size()) {
    at = text.find_first_not_of(' ', at);
    if (at == std::string::npos) return;
    const std::size_t equals = text.find('=', at);
    REQUIRE(equals != std::string::npos);
    const std::string key = text.substr(at, equals - at);
    const bool is_list = text[equals + 1] == '(';
    const std::size_t end = is_list ? text.find(')', equals) : text.find(' ', equals);
    const std::size_t from = equals + (is_list ? 2 : 1);
    std::istringstream values(text.substr(from, end == std::string::npos ? end : end - from));
    std::vector<std::string>& list = directive.arguments[key];
    for (std::string value; std::getline(values, value, ',');) list.push_back(strip(value));
    if (end == std::string::npos) return;
    at = end + 1;
  }
}

std::vector<Directive> read_directives(const std::filesystem::path& file) {
  std::vector<Directive> result;
  std::ifstream in(file);
  REQUIRE(in);
  enum { kOutside, kInput, kExpected } state = kOutside;
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    line = strip(line);
    if (state == kExpected) {
      if (line.empty()) {
        state = kOutside;
      } else {
        result.back().expected.push_back(line);
      }
    } else if (line == "----") {
      state = kExpected;
    } else if (line.empty() || line[0] == '#') {
      continue;
    } else if (state == kOutside) {
      result.emplace_back().line = number;
      parse_directive(line, result.back());
      state = kInput;
    } else {
      result.back().input.push_back(line);
    }
  }
  return result;
}

// ---- quorum ----

std::vector<std::uint64_t> ids_of(const Directive& directive, const std::string& key) {
  std::vector<std::uint64_t> ids;
  const auto found = directive.arguments.find(key);
  if (found == directive.arguments.end() || found->second == std::vector<std::string>{"zero"}) {
    return ids;
  }
  for (const std::string& text : found->second) ids.push_back(std::stoull(text));
  return ids;
}

// The values go to the ids in order, a repeated id counts once.
std::map<std::uint64_t, std::string> values_by_id(const Directive& directive,
                                                  const std::string& key) {
  std::map<std::uint64_t, std::string> result;
  const auto found = directive.arguments.find(key);
  if (found == directive.arguments.end()) return result;
  std::size_t next = 0;
  for (const char* half : {"cfg", "cfgj"}) {
    for (std::uint64_t id : ids_of(directive, half)) {
      if (result.count(id) == 0) result[id] = found->second.at(next++);
    }
  }
  return result;
}

std::string run_committed(const Directive& directive) {
  const auto values = values_by_id(directive, "idx");
  std::uint64_t result = kEverything;
  for (const char* half : {"cfg", "cfgj"}) {
    std::vector<std::uint64_t> acknowledged;
    for (std::uint64_t id : ids_of(directive, half)) {
      acknowledged.push_back(values.at(id) == "_" ? 0 : std::stoull(values.at(id)));
    }
    result = std::min(result, majority_value(acknowledged));
  }
  return result == kEverything ? "<empty majority quorum>∞" : std::to_string(result);
}

std::string run_vote(const Directive& directive) {
  const auto values = values_by_id(directive, "votes");
  VoteResult result = VoteResult::kWon;
  for (const char* half : {"cfg", "cfgj"}) {
    VoteCount votes;
    for (std::uint64_t id : ids_of(directive, half)) {
      ++votes.voters;
      votes.granted += values.at(id) == "y" ? 1U : 0U;
      votes.refused += values.at(id) == "n" ? 1U : 0U;
    }
    result = joint_vote(result, majority_vote(votes));
  }
  switch (result) {
    case VoteResult::kPending:
      return "VotePending";
    case VoteResult::kWon:
      return "VoteWon";
    case VoteResult::kLost:
      return "VoteLost";
  }
  return "";
}

// ---- membership ----

std::vector<MembershipChange> parse_changes(const Directive& directive) {
  std::vector<MembershipChange> changes;
  for (const std::string& line : directive.input) {
    std::istringstream tokens(line);
    for (std::string token; tokens >> token;) {
      const ChangeKind kind = token[0] == 'v'   ? ChangeKind::kAddVoter
                              : token[0] == 'l' ? ChangeKind::kAddLearner
                              : token[0] == 'r' ? ChangeKind::kRemove
                                                : ChangeKind::kUpdate;
      changes.push_back({kind, {NodeId(std::stoull(token.substr(1))), "", "", true}});
    }
  }
  return changes;
}

std::string list_of(const std::vector<NodeId>& ids) {
  std::string text = "(";
  for (NodeId id : ids) text += (text.size() > 1 ? " " : "") + std::to_string(id.value());
  return text + ")";
}

std::string first_line_of(const Membership& membership) {
  std::string text = "voters=" + list_of(membership.voters);
  if (membership.is_joint()) text += "&&" + list_of(membership.voters_outgoing);
  if (!membership.learners.empty()) text += " learners=" + list_of(membership.learners);
  if (!membership.learners_next.empty()) {
    text += " learners_next=" + list_of(membership.learners_next);
  }
  if (membership.auto_leave) text += " autoleave";
  return text;
}

// The lines below: each tracked node, where its progress began, and whether it is a learner.
std::vector<std::string> lines_of(const Membership& membership,
                                  const std::map<NodeId, std::uint64_t>& began) {
  std::vector<std::string> lines{first_line_of(membership)};
  for (NodeId id : all_ids(membership)) {
    lines.push_back(std::to_string(id.value()) + ": StateProbe match=0 next=" +
                    std::to_string(began.at(id)) + (membership.is_learner(id) ? " learner" : ""));
  }
  return lines;
}

void run_changes(const std::filesystem::path& file) {
  Membership membership;
  std::map<NodeId, std::uint64_t> began;
  std::uint64_t last_index = 0;
  for (const Directive& directive : read_directives(file)) {
    INFO(file << ":" << directive.line);
    const auto changes = parse_changes(directive);
    const auto autoleave = directive.arguments.find("autoleave");
    wire::Result<Membership> next =
        directive.command == "simple" ? change_simply(membership, changes)
        : directive.command == "enter-joint"
            ? enter_joint(membership, changes,
                          autoleave != directive.arguments.end() &&
                              autoleave->second == std::vector<std::string>{"true"})
            : leave_joint(membership);
    const bool should_succeed = directive.expected.at(0).rfind("voters=", 0) == 0;
    REQUIRE(next.has_value() == should_succeed);
    if (next) {
      if (!changes.empty() && directive.command == "simple" && !membership.voters.empty()) {
        CHECK(is_safe_transition(membership, *next));
      }
      membership = *next;
      std::erase_if(began, [&](const auto& known) {
        const auto ids = all_ids(membership);
        return !std::binary_search(ids.begin(), ids.end(), known.first);
      });
      for (NodeId id : all_ids(membership))
        began.insert({id, std::max<std::uint64_t>(last_index, 1)});
      CHECK(lines_of(membership, began) == directive.expected);
    }
    ++last_index;
  }
}

std::vector<std::filesystem::path> files_in(const std::filesystem::path& dir) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

TEST_CASE("Quorum arithmetic agrees with etcd's vectors") {
  const auto dir = vectors_dir();
  if (!dir) return support::skip("no vectors of etcd's raft beside the checkout");
  int checked = 0;
  for (const auto& file : files_in(*dir / "quorum")) {
    for (const Directive& directive : read_directives(file)) {
      INFO(file << ":" << directive.line);
      const std::string result =
          directive.command == "vote" ? run_vote(directive) : run_committed(directive);
      CHECK(result == directive.expected.back());
      ++checked;
    }
  }
  CHECK(checked > 50);
}

TEST_CASE("Membership changes agree with etcd's vectors") {
  const auto dir = vectors_dir();
  if (!dir) return support::skip("no vectors of etcd's raft beside the checkout");
  const auto files = files_in(*dir / "confchange");
  CHECK(files.size() >= 6);
  for (const auto& file : files) run_changes(file);
}

}  // namespace bib::consensus
