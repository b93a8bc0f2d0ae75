// The judge of a data directory: the name, the verdict and the next step of each state.
#include <catch2/catch.hpp>

#include "wire/log/data_directory.h"

namespace bib::wire {
namespace {

using Catch::Matchers::Contains;

constexpr LogPosition kSnapshot{LogIndex(30), Term(2)};

// A node that ran here, with rows and a snapshot.
DirectoryFacts node_facts() {
  DirectoryFacts facts;
  facts.path = "/data";
  for (const char* name : {kLogName, kStateName, kSnapshotsName}) {
    facts.names[name] = FileKind::kDirectory;
  }
  facts.names[kLockName] = FileKind::kRegular;
  facts.names[kSocketName] = FileKind::kSocket;
  facts.has_log = true;
  facts.log = LogIdentity{{}, NodeId(0xaa), 7};
  facts.has_rows = true;
  facts.has_snapshots = true;
  facts.snapshots = {kSnapshot};
  return facts;
}

DirectoryStanding must_refuse(const DirectoryFacts& facts, DirectoryState state,
                              const Expected& expected = {}) {
  DirectoryStanding standing = judge_directory(facts, expected);
  CHECK(standing.state == state);
  CHECK(standing.verdict == DirectoryVerdict::kRefuse);
  CHECK_FALSE(standing.what.empty());
  CHECK_FALSE(standing.next_step.empty());
  CHECK_THAT(refusal_of(standing).message, Contains(standing.path + ": " + standing.what + ". ") &&
                                               Contains(standing.next_step.substr(1)));
  return standing;
}

}  // namespace

TEST_CASE("a directory without a node is for founding or joining, as the configuration says") {
  DirectoryFacts facts;
  facts.path = "/data";
  facts.names[kLockName] = FileKind::kRegular;
  facts.names["lost+found"] = FileKind::kDirectory;
  SECTION("it is empty") {
    CHECK(judge_directory(facts, {}).state == DirectoryState::kEmpty);
  }
  SECTION("it was about to join") {
    facts.names[kJoiningName] = FileKind::kRegular;
    CHECK(judge_directory(facts, {}).state == DirectoryState::kJoining);
  }
  SECTION("its directories were made, and hold nothing yet") {
    for (const char* name : {kLogName, kStateName, kSnapshotsName}) {
      facts.names[name] = FileKind::kDirectory;
    }
    CHECK(judge_directory(facts, {}).state == DirectoryState::kEmpty);
  }
  CHECK(judge_directory(facts, {.founds = true}).verdict == DirectoryVerdict::kFound);
  CHECK(judge_directory(facts, {.founds = false}).verdict == DirectoryVerdict::kJoin);
}

TEST_CASE("a directory with a log is for starting, whatever else is configured") {
  DirectoryFacts facts = node_facts();
  for (const bool founds : {false, true}) {
    const auto standing = judge_directory(facts, {.node = NodeId(0xaa), .founds = founds});
    CHECK(standing.state == DirectoryState::kNode);
    CHECK(standing.verdict == DirectoryVerdict::kStart);
    CHECK(standing.what.empty());
  }
  // A crash came after the log was begun: it has been let in.
  facts.names[kJoiningName] = FileKind::kRegular;
  CHECK(judge_directory(facts, {}).verdict == DirectoryVerdict::kStart);
  // The log's disk may be another one: nothing but segments is removed there.
  facts.names[kLogName] = FileKind::kLink;
  CHECK(judge_directory(facts, {}).verdict == DirectoryVerdict::kStart);
}

TEST_CASE("an installation that was decided is completed") {
  DirectoryFacts facts = node_facts();
  facts.installing = FileKind::kRegular;
  facts.installing_snapshot = kSnapshot;
  const auto standing = judge_directory(facts, {});
  CHECK(standing.state == DirectoryState::kInstalling);
  CHECK(standing.verdict == DirectoryVerdict::kComplete);
  CHECK_THAT(standing.what, Contains("snapshot 30-2 was being put in place"));
}

TEST_CASE("an installation that cannot be completed is refused, with what is missing") {
  DirectoryFacts facts = node_facts();
  facts.installing = FileKind::kRegular;
  SECTION("its snapshot is gone") {
    facts.installing_snapshot = LogPosition{LogIndex(31), Term(2)};
    const auto standing = must_refuse(facts, DirectoryState::kSnapshotLost);
    CHECK_THAT(standing.what, Contains("31-2") && Contains("/data/snapshots"));
    CHECK_THAT(standing.next_step, Contains("put it back"));
  }
  SECTION("its note names none") {
    CHECK_THAT(must_refuse(facts, DirectoryState::kInstallUnknown).path,
               Contains("/data/snapshots/installing"));
  }
}

TEST_CASE("rows or snapshots without their log are refused, and nothing is founded or joined") {
  DirectoryFacts facts = node_facts();
  facts.has_log = false;
  facts.log.reset();
  SECTION("log/ is gone") {
    facts.names.erase(kLogName);
  }
  SECTION("log/ is empty") {}
  SECTION("only rows are left") {
    facts.has_snapshots = false;
    CHECK_THAT(judge_directory(facts, {}).what, Contains("the node has rows, but"));
  }
  SECTION("only snapshots are left") {
    facts.has_rows = false;
    CHECK_THAT(judge_directory(facts, {}).what, Contains("the node has snapshots, but"));
  }
  SECTION("only the note of what was committed is left") {
    facts.has_rows = facts.has_snapshots = false;
    facts.has_commit_note = true;
    CHECK_THAT(judge_directory(facts, {}).what, Contains("has a note of what is committed, but"));
  }
  SECTION("it was about to join") {
    facts.names[kJoiningName] = FileKind::kRegular;
  }
  for (const bool founds : {false, true}) {
    const auto standing = must_refuse(facts, DirectoryState::kLogLost, {.founds = founds});
    CHECK_THAT(standing.next_step, Contains("not mounted") && Contains("new id"));
    CHECK(refusal_of(standing).code == ErrorCode::kCorrupt);
  }
}

TEST_CASE("another node's directory is a mistake of the configuration") {
  const auto standing =
      must_refuse(node_facts(), DirectoryState::kOtherNode, {.node = NodeId(0xbb)});
  CHECK_THAT(standing.what,
             Contains("belongs to node 00000000000000aa") && Contains("says 00000000000000bb"));
  CHECK(refusal_of(standing).code == ErrorCode::kConfig);
}

TEST_CASE("links and special files in the place of ours are refused before anything is opened") {
  for (const char* name :
       {kStateName, kNextStateName, kPreviousStateName, kSnapshotsName, kJoiningName}) {
    for (const FileKind kind : {FileKind::kLink, FileKind::kOther, FileKind::kSocket}) {
      DirectoryFacts facts = node_facts();
      facts.names[name] = kind;
      const auto standing = must_refuse(facts, DirectoryState::kForeignFile);
      CHECK(standing.path == std::string("/data/") + name);
      CHECK_THAT(standing.what, Contains(std::string(to_string(kind))));
    }
  }
  DirectoryFacts facts = node_facts();
  facts.installing = FileKind::kLink;
  CHECK_THAT(must_refuse(facts, DirectoryState::kForeignFile).path, Contains("installing"));
  facts = node_facts();
  facts.names[kLogName] = FileKind::kOther;
  must_refuse(facts, DirectoryState::kForeignFile);
  facts = node_facts();
  facts.foreign = ForeignFile{"/data/state/CURRENT", FileKind::kDirectory, FileKind::kRegular};
  const auto standing = must_refuse(facts, DirectoryState::kForeignFile);
  CHECK(standing.path == "/data/state/CURRENT");
  CHECK(standing.what == "a file belongs here, but this is a directory");
}

TEST_CASE("a log on a disk that is not mounted is refused, whatever else is there") {
  DirectoryFacts facts;
  facts.path = "/data";
  facts.names[kLogName] = FileKind::kLink;
  for (const FileKind target : {FileKind::kAbsent, FileKind::kRegular, FileKind::kOther}) {
    facts.log_target = target;
    const auto standing = must_refuse(facts, DirectoryState::kLogUnreachable, {.founds = true});
    CHECK_THAT(standing.next_step, Contains("mount the disk"));
    CHECK(refusal_of(standing).code == ErrorCode::kConfig);
  }
  facts.log_target = FileKind::kDirectory;
  CHECK(judge_directory(facts, {.founds = true}).verdict == DirectoryVerdict::kFound);
}

TEST_CASE("the note of an installation is read as it was written, and nothing else is") {
  CHECK(installing_note(kSnapshot) == "30-2\n");
  CHECK(parse_installing_note("30-2\n") == kSnapshot);
  CHECK(parse_installing_note("30-2") == kSnapshot);
  for (const char* text : {"", "\n", "30-2\n\n", "30", "x", "030-2"}) {
    CHECK_FALSE(parse_installing_note(text));
  }
}

TEST_CASE("rows fit a log, are to be restored, or know more than it") {
  const auto judge = [](std::uint64_t rows, bool has_snapshot) {
    return judge_rows({.rows = LogIndex(rows),
                       .log_base = {LogIndex(10), Term(1)},
                       .log_last = LogIndex(20),
                       .has_snapshot_for_log = has_snapshot});
  };
  for (const std::uint64_t rows : {10, 15, 20}) {
    CHECK(judge(rows, false).state == RowsState::kFit);
    CHECK(judge(rows, false).what.empty());
  }
  CHECK(judge(9, true).state == RowsState::kBelowLog);
  CHECK(judge(9, true).next_step.empty());
  CHECK(judge(9, false).state == RowsState::kLost);
  CHECK_THAT(judge(9, false).what, Contains("at entry 9, but the log starts after entry 10"));
  CHECK_FALSE(judge(9, false).next_step.empty());
  CHECK(judge(21, true).state == RowsState::kAhead);
  CHECK_THAT(judge(21, true).what, Contains("at entry 21, but the log ends at 20"));
  CHECK_FALSE(judge(21, true).next_step.empty());
}

TEST_CASE("rows of another cluster or node are foreign, wherever they stand") {
  const RowsOwner own{ClusterId{{1}}, 7};
  RowsFacts facts{.rows = LogIndex(15), .log_owner = own, .log_last = LogIndex(20)};
  CHECK(judge_rows(facts).state == RowsState::kFit);  // they do not say
  facts.rows_owner = own;
  CHECK(judge_rows(facts).state == RowsState::kFit);
  for (const std::uint64_t rows : {0, 15, 99}) {
    facts.rows = LogIndex(rows);
    facts.rows_owner = RowsOwner{ClusterId{{2}}, 7};
    CHECK(judge_rows(facts).state == RowsState::kForeign);
    CHECK_THAT(judge_rows(facts).what, Contains("another cluster, 02"));
    facts.rows_owner = RowsOwner{own.cluster, 8};
    CHECK(judge_rows(facts).state == RowsState::kForeign);
    CHECK_THAT(judge_rows(facts).what, Contains("the log 0000000000000008"));
    CHECK_THAT(judge_rows(facts).next_step, Contains("move this one away"));
  }
  facts.log_base = {LogIndex(10), Term(1)};
  CHECK_THAT(judge_rows(facts).next_step, !Contains("move this one away") && Contains("new id"));
  facts.has_snapshot_for_log = true;
  CHECK_THAT(judge_rows(facts).next_step, Contains("move this one away"));
}

}  // namespace bib::wire
