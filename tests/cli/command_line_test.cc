// bib as a user meets it: usage errors, exit codes, what goes to which stream.
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <regex>

#include "cli/commands/cluster_view.h"
#include "cli/print/exit_code.h"
#include "cli/print/progress_line.h"
#include "fake_node.h"
#include "run.h"
#include "support/document.h"
#include "support/test_support.h"
#include "wire/base/secret.h"
#include "wire/model/row.h"
#include "wire/peer/join_token.h"

using namespace bib;
using namespace bib::cli;
using bib::test::Answer;
using bib::test::FakeNode;
using bib::test::Received;
using bib::test::Session;
using wire::ErrorCode;
using wire::FrameKind;

namespace {

Answer one_config_row(std::string_view key, std::string_view value) {
  wire::RowEncoder rows;
  wire::ConfigRow row;
  row.key = key;
  row.value = value;
  row.revision = wire::Revision(3);
  wire::QueryReply answer;
  answer.rows.push_back({key, rows.encode(row)});
  wire::ClientEncoder encoder;
  return test::reply(FrameKind::kQueryReply, encoder.encode(answer));
}

wire::StatusReply three_members(std::uint64_t leader, std::vector<bool> healthy) {
  wire::StatusReply status;
  status.cluster_name = "test-cluster";
  status.node = wire::NodeId(1);
  status.role = leader == 1 ? "leader" : "follower";
  status.leader = wire::NodeId(leader);
  status.term = wire::Term(4);
  status.commit = wire::LogIndex(90);
  status.last = wire::LogIndex(100);
  for (std::size_t i = 0; i < healthy.size(); ++i) {
    wire::MemberStatus& member = status.members.emplace_back();
    member.id = wire::NodeId(i + 1);
    member.raft_address = "10.0.0.1:4002";
    member.voter = true;
    member.known = leader != 0;
    member.healthy = healthy[i];
    member.match = wire::LogIndex(100 - 10 * i);
  }
  return status;
}

Answer status_answer(const wire::StatusReply& status) {
  wire::ClientEncoder encoder;
  return test::reply(FrameKind::kStatusReply, encoder.encode(status));
}

}  // namespace

TEST_CASE("every error code of a node has its exit code") {
  const std::map<ErrorCode, int> codes = {
      {ErrorCode::kInvalid, 2},   {ErrorCode::kCorrupt, 1},       {ErrorCode::kRevisionConflict, 8},
      {ErrorCode::kNotFound, 9},  {ErrorCode::kRefused, 10},      {ErrorCode::kUnauthenticated, 5},
      {ErrorCode::kForbidden, 6}, {ErrorCode::kRequestReused, 1}, {ErrorCode::kUnsupported, 1},
      {ErrorCode::kConfig, 3}};
  for (const auto& [code, exit_code] : codes) {
    CAPTURE(wire::error_code_name(code));
    FakeNode node(1, [code = code](const Received&) { return test::refused(code, "because"); });
    Session session({"config", "set", "a", "b", "--server", node.address()});
    REQUIRE(session.run() == exit_code);
    REQUIRE(session.out().empty());
    REQUIRE(session.err().rfind("bib: because\n", 0) == 0);
  }
  REQUIRE(exit_code_for(ErrorCode::kNone) == ExitCode::kOk);
  REQUIRE(exit_code_for(ErrorCode::kIo) == ExitCode::kConnection);
  REQUIRE(exit_code_for(ErrorCode::kTimeout) == ExitCode::kConnection);
  REQUIRE(exit_code_for(ErrorCode::kNotLeader) == ExitCode::kNoLeader);
  REQUIRE(exit_code_for(ErrorCode::kNoQuorum) == ExitCode::kNoLeader);
  REQUIRE(exit_code_for(static_cast<ErrorCode>(200)) == ExitCode::kGeneral);
}

TEST_CASE("a node that cannot be reached is exit code 4, no leader 7") {
  std::string address;
  {
    FakeNode gone(1);
    address = gone.address();
  }
  Session unreachable({"config", "get", "a", "--server", address});
  REQUIRE(unreachable.run() == 4);
  REQUIRE(unreachable.err().find("bibd") != std::string::npos);
  FakeNode node(1);
  node.set_no_leader();
  Session leaderless({"config", "set", "a", "b", "--server", node.address(), "--timeout", "200ms"});
  REQUIRE(leaderless.run() == 7);
}

TEST_CASE("wrong command lines are exit code 2, with the way to the right one") {
  const std::vector<std::pair<std::vector<std::string>, std::string>> lines = {
      {{}, "bib --help"},
      {{"topi", "list"}, "did you mean topic?"},
      {{"topic", "lst"}, "did you mean list?"},
      {{"-o", "json", "topic", "crate", "x"}, "did you mean create?"},
      {{"topic", "create"}, "bib topic create --help"},
      {{"topic", "list", "--bogus"}, "--bogus"},
      {{"version", "-o", "xml"}, "json"},
      {{"version", "--timeout", "5"}, "unit"},
      {{"version", "--timeout", "0s"}, "above 0"},
      {{"config", "get", "a", "--consistency", "maybe"}, "linearizable"},
      {{"config", "get", "a", "--server", "nonsense"}, "nonsense"},
      {{"job", "set-state", "a", "unknown"}, "running"},
      {{"catalog", "import", "x", "--format", "csv"}, "deb822"},
      {{"events", "list", "--from", "x"}, "INDEX:OFFSET"},
      {{"config", "get", "a", "--server", ""}, "the list of servers is empty"},
      {{"config", "get", "a", "--server", "run/bibd.sock"}, "absolute"},
      {{"config", "set", "a", "b", "--expect-revision", ""}, "is not a whole number"},
      {{"config", "set", "a", "b", "--expect-revision="}, "missing"},
      {{"config", "set", "a", "b", "--expect-revision", "-1"}, "'-1' is not a whole number"},
      {{"config", "set", "a", "b", "--expect-revision", "0x3"}, "unit"},
      {{"config", "unset", "a", "--expect-revision", "18446744073709551615"}, "too large"},
      {{"config", "unset", "a", "--expect-revision", "18446744073709551616"}, "too large"},
      {{"topic", "create", "a", "--expect-revision", "-1"}, "whole number"},
      {{"topic", "list", "--limit", "-1"}, "whole number"},
      {{"events", "tail", "--limit", "4294967296"}, "between 0 and 4294967295"},
      {{"bench", "--seed", "-1"}, "whole number"},
      {{"bench", "--inflight", "0"}, "between 1 and 65536"},
      {{"bench", "--read-ratio", "nan"}, "read-ratio"},
      {{"bench", "--read-ratio", "2"}, "read-ratio"},
      {{"bench", "--duration", "5x"}, "--duration"},
      {{"bench", "--duration", "5"}, "--duration: '5' has no unit"},
      {{"bench", "--warmup", "1"}, "--warmup: '1' has no unit"},
  };
  for (const auto& [arguments, part] : lines) {
    CAPTURE(arguments);
    Session session(arguments);
    REQUIRE(session.run() == 2);
    CAPTURE(session.err());
    REQUIRE(session.err().find(part) != std::string::npos);
    REQUIRE(session.out().empty());
  }
}

TEST_CASE("help and version go to standard output and are no error") {
  for (const char* word : {"--help", "--version", "version"}) {
    Session session({word});
    REQUIRE(session.run() == 0);
    REQUIRE(session.out().find("bib") != std::string::npos);
    REQUIRE(session.err().empty());
  }
}

TEST_CASE("a value is printed as it is for a pipe, and harmless for a terminal") {
  FakeNode node(1, [](const Received&) { return one_config_row("a", "x\x1b[2Jy"); });
  Session piped({"config", "get", "a", "--server", node.address()});
  REQUIRE(piped.run() == 0);
  REQUIRE(piped.out() == "x\x1b[2Jy\n");
  Session shown({"config", "get", "a", "--server", node.address()});
  shown.context().out_is_terminal = true;
  REQUIRE(shown.run() == 0);
  REQUIRE(shown.out() == "x\\x1b[2Jy\n");
  Session json({"config", "get", "a", "--server", node.address(), "-o", "json"});
  REQUIRE(json.run() == 0);
  REQUIRE(Json::parse(json.out())["revision"] == 3);
  Session yaml({"-o", "yaml", "config", "get", "a", "--server", node.address()});
  REQUIRE(yaml.run() == 0);
  REQUIRE(yaml.out().rfind("key: a\n", 0) == 0);
}

TEST_CASE("colours are for terminals without NO_COLOR") {
  for (bool no_color : {false, true}) {
    std::map<std::string, std::string> environment = {{"HOME", "/nonexistent"}};
    if (no_color) environment["NO_COLOR"] = "1";
    Session session({"nonsense"}, "", environment);
    session.context().err_is_terminal = true;
    REQUIRE(session.run() == 2);
    REQUIRE((session.err().find('\x1b') != std::string::npos) == !no_color);
  }
  Session piped({"nonsense"});
  piped.run();
  REQUIRE(piped.err().find('\x1b') == std::string::npos);
}

TEST_CASE("a list follows the pages until its end, or its limit") {
  FakeNode node(1, [](const Received& request) {
    auto query = wire::decode_query(request.body);
    int first = query->after.empty() ? 0 : std::stoi(std::string(query->after)) + 1;
    wire::QueryReply answer;
    std::vector<std::string> keys;
    std::vector<std::vector<std::uint8_t>> values;
    wire::RowEncoder rows;
    for (int i = first; i < std::min<int>(first + 2, 5); ++i) {
      wire::ConfigRow row;
      keys.push_back(std::to_string(i));
      row.key = keys.back();
      wire::ByteView bytes = rows.encode(row);
      values.emplace_back(bytes.begin(), bytes.end());
    }
    for (std::size_t i = 0; i < keys.size() && i < query->limit; ++i) {
      answer.rows.push_back({keys[i], values[i]});
    }
    std::string next = answer.rows.empty() ? "" : std::string(answer.rows.back().key);
    if (!next.empty() && next != "4") answer.next = next;
    wire::ClientEncoder encoder;
    return test::reply(FrameKind::kQueryReply, encoder.encode(answer));
  });
  Session all({"config", "list", "-o", "json", "--server", node.address()});
  REQUIRE(all.run() == 0);
  REQUIRE(Json::parse(all.out()).size() == 5);
  Session three({"config", "list", "--limit", "3", "-o", "json", "--server", node.address()});
  REQUIRE(three.run() == 0);
  REQUIRE(Json::parse(three.out()).size() == 3);
}

TEST_CASE("the quorum's verdict says what it can bear") {
  auto verdict = [](std::uint64_t leader, std::vector<bool> healthy) {
    return quorum_text(judge(to_view(three_members(leader, std::move(healthy)))));
  };
  REQUIRE(verdict(1, {true, true, true}) == "Quorum: 2/3 (healthy), tolerates 1 more failure");
  REQUIRE(verdict(1, {true, true, false}) ==
          "Quorum: 2/3 (degraded: 2 of 3 voters healthy), tolerates 0 more failures");
  REQUIRE(verdict(1, {true, false, false}) == "Quorum: 2/3 (NO QUORUM: 1 of 3 voters healthy)");
  REQUIRE(verdict(1, {true}) == "Quorum: 1/1 (healthy), tolerates 0 more failures");
  REQUIRE(verdict(1, {true, true, true, true, true}) ==
          "Quorum: 3/5 (healthy), tolerates 2 more failures");
  REQUIRE(verdict(0, {true, true, true}).find("unknown") != std::string::npos);
}

TEST_CASE("cluster status says whose rows differ, and that nobody can tell whose") {
  wire::StatusReply reply = three_members(1, {true, true, true});
  reply.members[0].rows = reply.members[1].rows = wire::RowsVerdict::kEqual;
  REQUIRE(to_json(to_view(reply))["members"][1]["rows"] == "equal");
  REQUIRE(to_json(to_view(reply))["members"][2]["rows"].is_null());
  REQUIRE(state_text(to_view(reply)) == "healthy");
  reply.members[2].rows = wire::RowsVerdict::kDifferent;
  REQUIRE(state_text(to_view(reply)) == "degraded");
  REQUIRE(to_text(to_view(reply)).find("rows differ") != std::string::npos);
  REQUIRE(to_json(to_view(reply))["members"][2]["rows"] == "different");
  for (wire::MemberStatus& member : reply.members) member.rows = wire::RowsVerdict::kDisputed;
  REQUIRE(to_text(to_view(reply)).find("Rows: DISPUTED") != std::string::npos);
}

TEST_CASE("cluster status prints members and quorum, and its exit code tells a lost quorum") {
  wire::StatusReply status = three_members(1, {true, true, true});
  FakeNode node(1, [&](const Received&) { return status_answer(status); });
  Session good({"cluster", "status", "--server", node.address()});
  REQUIRE(good.run() == 0);
  std::string out = good.out();
  CAPTURE(out);
  REQUIRE(out.find("test-cluster") != std::string::npos);
  REQUIRE(out.find("0000000000000001  10.0.0.1:4002") != std::string::npos);
  REQUIRE(out.find("Quorum: 2/3 (healthy), tolerates 1 more failure\n") != std::string::npos);

  Session json({"cluster", "status", "-o", "json", "--server", node.address()});
  REQUIRE(json.run() == 0);
  Json data = Json::parse(json.out());
  REQUIRE(data["members"][2]["behind"] == 20);
  REQUIRE(data["members"][0]["role"] == "leader");
  REQUIRE(data["quorum"]["tolerates"] == 1);
  REQUIRE(data["commit_index"] == 90);
  Session list({"cluster", "member", "list", "-o", "json", "--server", node.address()});
  REQUIRE(list.run() == 0);
  REQUIRE(Json::parse(list.out())["members"] == data["members"]);

  // What is known is printed all the same.
  status = three_members(0, {false, false, false});
  Session leaderless({"cluster", "status", "--server", node.address()});
  REQUIRE(leaderless.run() == 7);
  REQUIRE(leaderless.out().find("no leader") != std::string::npos);
  REQUIRE(leaderless.out().find("0000000000000003") != std::string::npos);
}

TEST_CASE("digests are equal, different, or not comparable, and the exit code says so") {
  auto digest_status = [](std::uint64_t node, std::uint64_t applied, std::uint64_t digest,
                          const FakeNode& a, const FakeNode& b, std::string& a_address,
                          std::string& b_address) {
    a_address = a.address();
    b_address = b.address();
    wire::StatusReply status = three_members(1, {true, true});
    status.members[0].api_address = a_address;
    status.members[1].api_address = b_address;
    status.node = wire::NodeId(node);
    status.applied = wire::LogIndex(applied);
    wire::ProjectionStatus& projection = status.projections.emplace_back();
    projection.name = "catalog";
    projection.digest_low = digest;
    return status_answer(status);
  };
  auto run = [&](std::uint64_t applied_b, std::uint64_t digest_b, std::string& out,
                 std::uint64_t second = 2) {
    std::unique_ptr<FakeNode> a;
    std::unique_ptr<FakeNode> b;
    std::mutex ready;
    std::unique_lock lock(ready);
    std::string a_address;
    std::string b_address;
    a = std::make_unique<FakeNode>(1, [&](const Received&) {
      std::lock_guard wait(ready);
      return digest_status(1, 9, 5, *a, *b, a_address, b_address);
    });
    b = std::make_unique<FakeNode>(2, [&](const Received&) {
      std::lock_guard wait(ready);
      return digest_status(second, applied_b, digest_b, *a, *b, a_address, b_address);
    });
    lock.unlock();
    Session session(
        {"cluster", "status", "--digests", "--timeout", "300ms", "--server", a->address()});
    int code = session.run();
    out = session.out();
    return code;
  };
  std::string out;
  REQUIRE(run(9, 5, out) == 0);
  REQUIRE(out.find("equal at index 9") != std::string::npos);
  REQUIRE(run(9, 6, out) == 1);
  REQUIRE(out.find("DIFFERENT at index 9") != std::string::npos);
  REQUIRE(run(8, 5, out) == 1);
  REQUIRE(out.find("not comparable") != std::string::npos);
  // Somebody else at a member's address says nothing about the member.
  REQUIRE(run(9, 5, out, 1) == 1);
  REQUIRE(out.find("equal at") == std::string::npos);
  REQUIRE(out.find("node 0000000000000001 answers at its address") != std::string::npos);
}

TEST_CASE("a new token goes to the cluster as a hash, and its text to the user") {
  std::vector<std::uint8_t> hash;
  FakeNode node(1, [&](const Received& request) {
    if (request.kind == FrameKind::kStatus) {
      return status_answer(three_members(1, {true, true, true}));
    }
    auto command = wire::decode_command(request.body);
    wire::ByteView sent = std::get<wire::IssueJoinToken>(command->body).secret_sha256;
    hash.assign(sent.begin(), sent.end());
    return test::accepted();
  });
  Session session(
      {"cluster", "token", "create", "--expires", "1h", "-o", "json", "--server", node.address()});
  REQUIRE(session.run() == 0);
  Json data = Json::parse(session.out());
  auto token = wire::decode_join_token(data["token"].get<std::string>());
  REQUIRE(token);
  REQUIRE(token->leader_addr == "10.0.0.1:4002");
  auto expected = wire::sha256(wire::as_bytes(token->token));
  REQUIRE(hash == std::vector<std::uint8_t>(expected.begin(), expected.end()));
}

TEST_CASE("the completion scripts know every command and every option") {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    Session session({"completion", shell});
    REQUIRE(session.run() == 0);
    for (const char* word : {"setup", "cluster-join", "status", "digests", "topic", "archive",
                             "activate", "import", "dry-run", "expect-revision", "tail", "bench",
                             "inflight", "set-state", "completion", "consistency"}) {
      CAPTURE(shell, word);
      REQUIRE(session.out().find(word) != std::string::npos);
    }
  }
  REQUIRE(Session({"completion", "tcsh"}).run() == 2);
}

TEST_CASE("in bash a command offers its words, and an option its values") {
  support::TempDir dir;
  Session session({"completion", "bash"});
  REQUIRE(session.run() == 0);
  support::write_file(dir / "script", session.out());
  // What is offered for the last of the words.
  const auto offered = [&](const std::string& words) {
    const std::string command = fmt::format(
        "cd '{}' && source ./script && COMP_WORDS=({}) && COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) "
        "&& _bib && echo \"${{COMPREPLY[*]}}\" >offered",
        dir.path().string(), words);
    support::write_file(dir / "run", command);
    REQUIRE(std::system(fmt::format("bash '{}'", (dir / "run").string()).c_str()) == 0);
    return support::read_file(dir / "offered");
  };
  CHECK(offered("bib cat") == "catalog\n");
  CHECK(offered("bib topic cr") == "create\n");
  CHECK(offered("bib -o ''") == "table json yaml\n");
  CHECK(offered("bib topic list --output js") == "json\n");
  CHECK(offered("bib -o json topic cr") == "create\n");
  CHECK(offered("bib catalog import --format ''") == "frictionless deb822\n");
  CHECK(offered("bib completion f") == "fish\n");
  CHECK(offered("bib events list --consistency s") == "stale\n");
  // A value that may be anything is a file, perhaps.
  CHECK(offered("bib setup --config scr") == "script\n");
}

TEST_CASE("Ctrl-C ends an import and a bench with what was done, and with 130") {
  std::atomic<int> commands = 0;
  FakeNode node(1, [&](const Received& request) -> Answer {
    if (request.kind == FrameKind::kStatus) {
      return status_answer(three_members(1, {true, true, true}));
    }
    if (++commands == 700) kill(getpid(), SIGINT);
    return test::accepted();
  });
  std::string packages;
  for (int i = 0; i < 20000; ++i) packages += fmt::format("Package: p{}\nVersion: 1\n\n", i);
  Session import({"catalog", "import", "-", "-o", "json", "--server", node.address()}, packages);
  CHECK(import.run() == 130);
  CAPTURE(import.err());
  const std::uint64_t added = Json::parse(import.out())["added"];
  CHECK(added >= 699);
  CHECK(added < 20000);
  CHECK(import.err().find("interrupted") != std::string::npos);
  CHECK(import.err().find("importing it again changes nothing") != std::string::npos);

  commands = 0;
  Session bench({"bench", "--inflight", "8", "--warmup", "0s", "--duration", "10m", "-o", "json",
                 "--server", node.address()});
  CHECK(bench.run() == 130);
  const Json figures = Json::parse(bench.out());
  CHECK(figures["ops"] >= 600);
  CHECK(figures["seconds"] < 600);
  CHECK(bench.err().find("interrupted") != std::string::npos);
}

TEST_CASE("a progress line never wraps") {
  CHECK(cut_to_columns("abc", 3) == "abc");
  CHECK(cut_to_columns("abcd", 3) == "abc");
  CHECK(cut_to_columns("\u00e4\u00f6\u00fc\u00df", 3) == "\u00e4\u00f6\u00fc");
  CHECK(cut_to_columns("abc", 0).empty());
  FakeNode node(1);
  std::string packages;
  for (int i = 0; i < 100; ++i) packages += fmt::format("Package: p{}\nVersion: 1\n\n", i);
  Session session({"catalog", "import", "-", "--server", node.address()}, packages);
  session.context().err_is_terminal = true;
  CHECK(session.run() == 0);
  CHECK(session.err().find(" added, ") != std::string::npos);
}

TEST_CASE("bench measures what the cluster answers, and says when requests failed") {
  FakeNode node(1, [](const Received& request) -> Answer {
    if (request.kind == FrameKind::kStatus) {
      return status_answer(three_members(1, {true, true, true}));
    }
    if (request.kind == FrameKind::kQuery) return one_config_row("bench/1", "x");
    return test::accepted();
  });
  Session session({"bench", "--inflight", "8", "--size", "10", "--duration", "300ms", "--warmup",
                   "0s", "--read-ratio", "0.5", "--keys", "5", "--connections", "2", "-o", "json",
                   "--server", node.address()});
  REQUIRE(session.run() == 0);
  Json data = Json::parse(session.out());
  REQUIRE(data["system"] == "bib");
  REQUIRE(data["ops"] > 0);
  REQUIRE(data["read_ratio"] == 0.5);
  REQUIRE(data["errors"] == 0);
  REQUIRE(data["p50_ms"] > 0.0);
  REQUIRE(data["p50_ms"] <= data["p99_ms"]);
  const auto documented = support::names_of(
      support::table_rows(support::document_lines("docs/metrics.md"), "## A bench"));
  REQUIRE(data.size() == documented.size());
  for (const std::string& name : documented) CHECK(data.contains(name));
  std::size_t reads = 0;
  std::size_t writes = 0;
  for (const Received& request : node.received()) {
    if (request.kind == FrameKind::kQuery) ++reads;
    if (request.kind != FrameKind::kCommand) continue;
    ++writes;
    auto command = wire::decode_command(request.body);
    REQUIRE(std::get<wire::SetConfig>(command->body).value.size() == 10);
  }
  REQUIRE(reads > 0);
  REQUIRE(writes > 0);

  // Reads are no events.
  Session table({"bench", "--duration", "50ms", "--warmup", "0s", "--read-ratio", "0.25",
                 "--server", node.address()});
  REQUIRE(table.run() == 0);
  CAPTURE(table.out());
  REQUIRE(table.out().find("Operations per second") != std::string::npos);
  REQUIRE(std::regex_search(table.out(), std::regex("Read ratio: +0\\.25\n")));
  REQUIRE(table.out().find("vents") == std::string::npos);

  FakeNode refusing(1, [](const Received& request) -> Answer {
    if (request.kind == FrameKind::kStatus) {
      return status_answer(three_members(1, {true, true, true}));
    }
    return test::refused(ErrorCode::kForbidden, "not you");
  });
  Session failing({"bench", "--duration", "100ms", "--warmup", "0s", "-o", "json", "--server",
                   refusing.address()});
  REQUIRE(failing.run() == 6);
  REQUIRE(Json::parse(failing.out())["errors"] > 0);
}
