// An import: what reaches the cluster of the records, and what is said in the end.
#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <mutex>
#include <string>

#include "fake_node.h"
#include "packages.h"
#include "run.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::cli;
using bib::test::Answer;
using bib::test::FakeNode;
using bib::test::kPackages;
using bib::test::Received;
using bib::test::Session;

TEST_CASE("an import creates each topic once, sends every record, and counts the answers") {
  std::mutex mutex;
  std::map<std::string, int> topics;
  std::map<std::string, int> datasets;
  FakeNode node(1, [&](const Received& request) -> Answer {
    auto command = wire::decode_command(request.body);
    std::lock_guard lock(mutex);
    if (const auto* topic = std::get_if<wire::CreateTopic>(&command->body)) {
      ++topics[std::string(topic->path)];
      return test::accepted(1, topic->path == "old");
    }
    const auto& version = std::get<wire::AddDatasetVersion>(command->body).version;
    ++datasets[std::string(version.dataset)];
    if (version.dataset == "p7") {
      return test::refused(wire::ErrorCode::kRefused, "a version never changes");
    }
    return test::accepted(1, version.topic == "old");
  });
  std::string packages;
  for (int i = 0; i < 2000; ++i) {
    packages +=
        fmt::format("Package: p{}\nVersion: 1\nSection: {}\n\n", i, i % 4 == 0 ? "old" : "new");
  }
  packages += "Package: bad\n";

  Session session({"catalog", "import", "-", "-o", "json", "--server", node.address()}, packages);
  REQUIRE(session.run() == 1);
  Json summary = Json::parse(session.out());
  CAPTURE(summary.dump(2));
  REQUIRE(summary["records"] == 2001);
  REQUIRE(summary["added"] == 1499);
  REQUIRE(summary["unchanged"] == 500);
  REQUIRE(summary["refused"] == 1);
  REQUIRE(summary["bad"] == 1);
  REQUIRE(summary["topics_created"] == 1);
  REQUIRE(summary["problems"].size() == 2);
  REQUIRE(session.err().find("standard input:29: a version never changes") != std::string::npos);
  REQUIRE(session.err().find("standard input:8001: ") != std::string::npos);
  std::lock_guard lock(mutex);
  REQUIRE(topics == std::map<std::string, int>{{"new", 1}, {"old", 1}});
  REQUIRE(datasets.size() == 2000);
}

TEST_CASE("importing again changes nothing and says so") {
  FakeNode node(1, [](const Received&) { return test::accepted(1, true); });
  Session session({"catalog", "import", "-", "--server", node.address()}, kPackages);
  REQUIRE(session.run() == 0);
  REQUIRE(session.out().find("0 added, 2 unchanged") != std::string::npos);
  REQUIRE(session.out().find("Nothing has changed") != std::string::npos);
}

TEST_CASE("a strict import stops at the first problem") {
  FakeNode node(1);
  Session session({"catalog", "import", "-", "--strict", "--server", node.address()},
                  "Package: a\nVersion: 1\n\nPackage: bad\n\nPackage: c\nVersion: 1\n");
  REQUIRE(session.run() == 1);
  for (const Received& request : node.received()) {
    auto command = wire::decode_command(request.body);
    if (const auto* add = std::get_if<wire::AddDatasetVersion>(&command->body)) {
      REQUIRE(add->version.dataset == "a");
    }
  }
}

TEST_CASE("a topic that the rules refuse takes its records with it, and is asked for once") {
  FakeNode node(1, [&](const Received& request) -> Answer {
    auto command = wire::decode_command(request.body);
    if (std::holds_alternative<wire::CreateTopic>(command->body)) {
      return test::refused(wire::ErrorCode::kInvalid, "no such topic, ever");
    }
    return test::accepted();
  });
  Session session({"catalog", "import", "-", "-o", "json", "--server", node.address()}, kPackages);
  REQUIRE(session.run() == 1);
  REQUIRE(Json::parse(session.out())["refused"] == 2);
  REQUIRE(node.received().size() == 2);  // two topics, no record
}

TEST_CASE("an import continues at another member when its node dies, with the same bytes") {
  std::atomic<int> count = 0;
  FakeNode dying(
      1, [&](const Received&) { return ++count < 100 ? test::accepted() : test::dropped(); });
  FakeNode other(2);
  dying.set_members({other.address()});
  std::string packages;
  for (int i = 0; i < 1000; ++i) {
    packages += fmt::format("Package: p{}\nVersion: 1\nSection: s\n\n", i);
  }
  Session session({"catalog", "import", "-", "-o", "json", "--server", dying.address()}, packages);
  REQUIRE(session.run() == 0);
  REQUIRE(Json::parse(session.out())["added"] == 1000);
  std::map<std::uint64_t, std::vector<std::uint8_t>> sent;
  for (const Received& request : dying.received()) sent[request.id] = request.body;
  for (const Received& request : other.received()) {
    auto before = sent.find(request.id);
    if (before != sent.end()) REQUIRE(before->second == request.body);
    sent[request.id] = request.body;
  }
  REQUIRE(sent.size() == 1001);
}

TEST_CASE("an import that ends before its first record prints the reason and no summary") {
  FakeNode node(1);
  for (const char* format : {"table", "json"}) {
    Session session(
        {"catalog", "import", "/nonexistent/packages", "-o", format, "--server", node.address()});
    CHECK(session.run() == 1);
    CHECK(session.out().empty());
    CHECK(session.err().find("/nonexistent/packages cannot be read: ") != std::string::npos);
  }
  Session empty({"catalog", "import", "-", "--server", node.address()}, "");
  CHECK(empty.run() == 1);
  CHECK(empty.out().empty());
  CHECK(empty.err() == "bib: standard input is empty: there is nothing to import\n");

  // What went in before is summed up.
  support::TempDir dir;
  support::write_file(dir / "packages", kPackages);
  Session second({"catalog", "import", (dir / "packages").string(), "/nonexistent/packages",
                  "--server", node.address()});
  CHECK(second.run() == 1);
  CHECK(second.out().find("2 added") != std::string::npos);
}

TEST_CASE("a dry run sends nothing") {
  FakeNode node(1);
  Session session({"catalog", "import", "-", "--dry-run", "--server", node.address()}, kPackages);
  REQUIRE(session.run() == 0);
  REQUIRE(session.out().find(": 2 good in 2 topics, 0 bad") != std::string::npos);
  REQUIRE(node.greetings() == 0);
}

TEST_CASE("a dry run counts as bad what no node could read, as the real run does") {
  FakeNode node(1);
  const std::string package = R"({"name": "p", "resources": [{"name": "good"},)"
                              R"({"name": "two\nlines"}, {"name": "x", "format": "a\u0007"}]})";
  Session dry({"catalog", "import", "-", "--dry-run", "-o", "json", "--server", node.address()},
              package);
  REQUIRE(dry.run() == 1);
  const Json summary = Json::parse(dry.out());
  CAPTURE(summary.dump(2));
  CHECK(summary["added"] == 1);
  CHECK(summary["bad"] == 2);
  CHECK(dry.err().find("resource 3 (x): ") != std::string::npos);
  CHECK(dry.err().find("control character") != std::string::npos);
}

TEST_CASE("one of several files that cannot be read does not keep the others out") {
  FakeNode node(1);
  support::TempDir dir;
  const std::string good = (dir.path() / "good").string();
  const std::string wrong = (dir.path() / "wrong").string();
  std::ofstream(good) << kPackages;
  std::ofstream(wrong) << "a,b,c\n";
  const std::string missing = (dir.path() / "missing").string();
  Session session({"catalog", "import", missing, wrong, good, "--server", node.address()});
  CHECK(session.run() == 1);
  CHECK(session.out().find("2 added") != std::string::npos);
  CHECK(session.err().find(missing + ": cannot be read: ") != std::string::npos);
  CHECK(session.err().find(wrong + ": is neither") != std::string::npos);
  Session strict({"catalog", "import", missing, good, "--strict", "--server", node.address()});
  CHECK(strict.run() == 1);
  CHECK(strict.out().empty());
}

TEST_CASE("a wrong hash on the command line is refused before it is sent") {
  FakeNode node(1);
  Session session(
      {"catalog", "add", "t", "d", "1", "--hash", "sha256:zz", "--server", node.address()});
  CHECK(session.run() == 2);
  CHECK(session.err().find("--hash: the hash is not 64 hex digits") != std::string::npos);
  CHECK(node.received().empty());
}
