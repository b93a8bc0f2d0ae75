#include "runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <sstream>

#include "consensus/changer.h"
#include "consensus/quorum.h"
#include "datadriven.h"

namespace bib::vectors {
namespace {

using consensus::ChangeKind;
using consensus::MembershipChange;
using consensus::VoteCount;
using consensus::VoteResult;
using wire::Membership;
using wire::NodeId;

// What a command answers: lines, or an error. The error's text is for people.
using Answer = wire::Result<std::vector<std::string>>;

template <typename... Args>
tl::unexpected<wire::Error> bad(fmt::format_string<Args...> text, Args&&... args) {
  return wire::fail(wire::ErrorCode::kInvalid, text, std::forward<Args>(args)...);
}

wire::Result<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
    return bad("'{}' is not a number", text);
  }
  return value;
}

// ---- quorum

struct Halves {
  std::vector<std::uint64_t> ids[2];
  std::map<std::uint64_t, std::string> values;  // by id; what is not given is "_"
};

wire::Result<std::vector<std::uint64_t>> read_ids(const Case& one, const std::string& key) {
  std::vector<std::uint64_t> ids;
  const auto found = one.arguments.find(key);
  if (found == one.arguments.end() || found->second == std::vector<std::string>{"zero"}) return ids;
  for (const std::string& text : found->second) {
    BIB_TRY(const std::uint64_t id, number(text));
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  return ids;
}

// The values go to the ids of both halves in order; an id that is in both gets one.
wire::Result<Halves> read_halves(const Case& one, const std::string& values_key) {
  for (const auto& [key, values] : one.arguments) {
    if (key != "cfg" && key != "cfgj" && key != values_key)
      return bad("unknown argument '{}'", key);
  }
  Halves halves;
  BIB_TRY(halves.ids[0], read_ids(one, "cfg"));
  BIB_TRY(halves.ids[1], read_ids(one, "cfgj"));
  const auto given = one.arguments.find(values_key);
  const std::vector<std::string> values =
      given == one.arguments.end() ? std::vector<std::string>() : given->second;
  std::size_t next = 0;
  for (const auto& ids : halves.ids) {
    for (const std::uint64_t id : ids) {
      if (halves.values.contains(id)) continue;
      halves.values[id] = next < values.size() ? values[next] : "_";
      ++next;
    }
  }
  if (next != values.size()) return bad("{} voters, but {} values", next, values.size());
  return halves;
}

Answer run_committed(const Case& one) {
  BIB_TRY(const Halves halves, read_halves(one, "idx"));
  std::uint64_t result = consensus::kEverything;
  for (const auto& ids : halves.ids) {
    std::vector<std::uint64_t> acknowledged;
    for (const std::uint64_t id : ids) {
      const std::string& text = halves.values.at(id);
      BIB_TRY(const std::uint64_t index,
              text == "_" ? wire::Result<std::uint64_t>(0) : number(text));
      acknowledged.push_back(index);
    }
    result = std::min(result, consensus::majority_value(acknowledged));
  }
  return std::vector{result == consensus::kEverything ? "∞" : std::to_string(result)};
}

Answer run_vote(const Case& one) {
  BIB_TRY(const Halves halves, read_halves(one, "votes"));
  VoteResult result = VoteResult::kWon;
  for (const auto& ids : halves.ids) {
    VoteCount votes;
    for (const std::uint64_t id : ids) {
      const std::string& text = halves.values.at(id);
      if (text != "y" && text != "n" && text != "_") return bad("'{}' is not a vote", text);
      ++votes.voters;
      votes.granted += text == "y" ? 1U : 0U;
      votes.refused += text == "n" ? 1U : 0U;
    }
    result = consensus::joint_vote(result, consensus::majority_vote(votes));
  }
  switch (result) {
    case VoteResult::kPending:
      return std::vector<std::string>{"VotePending"};
    case VoteResult::kWon:
      return std::vector<std::string>{"VoteWon"};
    case VoteResult::kLost:
      break;
  }
  return std::vector<std::string>{"VoteLost"};
}

// ---- membership

wire::Result<std::vector<MembershipChange>> read_changes(const Case& one) {
  std::vector<MembershipChange> changes;
  for (const std::string& line : one.input) {
    std::istringstream tokens(line);
    for (std::string token; tokens >> token;) {
      ChangeKind kind{};
      switch (token[0]) {
        case 'v':
          kind = ChangeKind::kAddVoter;
          break;
        case 'l':
          kind = ChangeKind::kAddLearner;
          break;
        case 'r':
          kind = ChangeKind::kRemove;
          break;
        case 'u':
          kind = ChangeKind::kUpdate;
          break;
        default:
          return bad("unknown change '{}'", token);
      }
      BIB_TRY(const std::uint64_t id, number(std::string_view(token).substr(1)));
      changes.push_back({kind, {NodeId(id), "", "", true}});
    }
  }
  return changes;
}

wire::Result<bool> read_autoleave(const Case& one) {
  for (const auto& [key, values] : one.arguments) {
    if (key != "autoleave") return bad("unknown argument '{}'", key);
    static const std::set<std::string> kTrue = {"true", "TRUE", "True", "t", "T", "1"};
    static const std::set<std::string> kFalse = {"false", "FALSE", "False", "f", "F", "0"};
    if (values.size() == 1 && kTrue.contains(values[0])) return true;
    if (values.size() != 1 || !kFalse.contains(values[0])) return bad("autoleave is true or false");
  }
  return false;
}

std::string list_of(const std::vector<NodeId>& ids) {
  std::string text = "(";
  for (const NodeId id : ids) text += (text.size() > 1 ? " " : "") + std::to_string(id.value());
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

class Changes {
 public:
  Answer run(const Case& one) {
    auto next = change(one);
    ++last_index_;
    if (!next) return tl::unexpected(next.error());
    membership_ = *std::move(next);
    return describe();
  }

 private:
  wire::Result<Membership> change(const Case& one) const {
    BIB_TRY(const auto changes, read_changes(one));
    if (one.command == "leave-joint") {
      if (!changes.empty()) return bad("leave-joint takes no changes");
      return consensus::leave_joint(membership_);
    }
    BIB_TRY(const bool autoleave, read_autoleave(one));
    if (one.command == "enter-joint") {
      return consensus::enter_joint(membership_, changes, autoleave);
    }
    BIB_TRY(Membership next, consensus::change_simply(membership_, changes));
    const bool is_safe = membership_.voters.empty() || changes.empty() ||
                         consensus::is_safe_transition(membership_, next);
    if (!is_safe) return bad("accepted, although it is no safe transition");
    return next;
  }

  // Each tracked node: where its progress began, and whether it is a learner.
  std::vector<std::string> describe() {
    const std::vector<NodeId> ids = consensus::all_ids(membership_);
    std::erase_if(began_, [&](const auto& known) {
      return !std::binary_search(ids.begin(), ids.end(), known.first);
    });
    std::vector<std::string> lines{first_line_of(membership_)};
    for (const NodeId id : ids) {
      // The index counts this command already.
      const std::uint64_t first = std::max<std::uint64_t>(last_index_ - 1, 1);
      const std::uint64_t next = began_.insert({id, first}).first->second;
      lines.push_back(fmt::format("{}: StateProbe match=0 next={}{}", id.value(), next,
                                  membership_.is_learner(id) ? " learner" : ""));
    }
    return lines;
  }

  Membership membership_;
  std::map<NodeId, std::uint64_t> began_;
  std::uint64_t last_index_ = 0;
};

// ---- comparing

bool is_change(const Case& one) {
  return one.command == "simple" || one.command == "enter-joint" || one.command == "leave-joint";
}

// What the file says comes out: only the last line counts for quorums (a table of bars stands
// before it), and there an empty quorum says so in front.
std::optional<std::vector<std::string>> expected_outcome(const Case& one) {
  if (one.expected.empty()) return std::nullopt;
  if (is_change(one)) {
    if (!one.expected.front().starts_with("voters=")) return std::nullopt;
    return one.expected;
  }
  std::string last = one.expected.back();
  constexpr std::string_view kEmptyQuorum = "<empty majority quorum>";
  while (last.starts_with(kEmptyQuorum)) last.erase(0, kEmptyQuorum.size());
  const bool is_outcome = last == "∞" || last.starts_with("Vote") || number(last).has_value();
  if (!is_outcome) return std::nullopt;
  return std::vector{last};
}

std::string text_of(const std::vector<std::string>& lines) {
  return fmt::format("\"{}\"", fmt::join(lines, " | "));
}

// "" when they agree.
std::string compare(const Case& one, const Answer& answer) {
  const auto expected = expected_outcome(one);
  if (!answer && !expected) return "";
  if (!answer) {
    return fmt::format("{}: expected {}, but it is refused: {}", one.command, text_of(*expected),
                       answer.error().message);
  }
  if (!expected) {
    return fmt::format("{}: expected an error ({}), but it gives {}", one.command,
                       text_of(one.expected), text_of(*answer));
  }
  if (*answer == *expected) return "";
  return fmt::format("{}: expected {}, but it gives {}", one.command, text_of(*expected),
                     text_of(*answer));
}

}  // namespace

FileReport run_text(std::string_view text) {
  FileReport report;
  Changes changes;
  for (const Case& one : read_cases(text)) {
    ++report.cases;
    std::optional<Answer> answer;
    if (one.command == "committed") answer = run_committed(one);
    if (one.command == "vote") answer = run_vote(one);
    if (is_change(one)) answer = changes.run(one);
    if (!answer) {
      report.failures.push_back(
          {one.line, fmt::format("unknown command '{}'; this runner knows committed, vote, simple, "
                                 "enter-joint and leave-joint",
                                 one.command)});
      break;  // whatever follows depends on it
    }
    std::string what = one.has_expected ? compare(one, *answer)
                                        : one.command + ": there is no line '----' after it";
    if (!what.empty()) report.failures.push_back({one.line, std::move(what)});
  }
  return report;
}

std::vector<std::filesystem::path> vector_files(const std::filesystem::path& place) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (fs::is_regular_file(place, ignored)) return {place};
  static const std::set<std::string> kProse = {"NOTICE", "LICENSE", "README", "COPYING"};
  std::vector<fs::path> files;
  for (fs::recursive_directory_iterator at(place, ignored), end; at != end; at.increment(ignored)) {
    const fs::path& file = at->path();
    const std::string extension = file.extension().string();
    const bool may_be =
        at->is_regular_file(ignored) && !file.filename().string().starts_with(".") &&
        (extension == ".txt" || extension.empty()) && !kProse.contains(file.stem().string());
    if (may_be) files.push_back(file);
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::size_t run_files(const std::vector<std::filesystem::path>& files, std::ostream& out,
                      std::size_t& cases) {
  std::size_t failed = 0;
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) {
      out << fmt::format("FAIL  {}: cannot be read\n", file.string());
      ++failed;
      continue;
    }
    const FileReport report = run_text(text.str());
    cases += report.cases;
    if (report.failures.empty()) {
      out << fmt::format("{}  {}: {} cases\n", report.cases == 0 ? "none" : "pass", file.string(),
                         report.cases);
      continue;
    }
    ++failed;
    out << fmt::format("FAIL  {}: {} of {} cases\n", file.string(), report.failures.size(),
                       report.cases);
    for (const Failure& failure : report.failures) {
      out << fmt::format("      {}:{}: {}\n", file.string(), failure.line, failure.what);
    }
  }
  return failed;
}

}  // namespace bib::vectors
