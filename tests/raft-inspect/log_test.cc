// raft-inspect log.
#include <flatbuffers/idl.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "log_writer.h"
#include "support/test_support.h"

namespace bib::inspect {
namespace {

using Json = nlohmann::json;

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  INFO(part);
  return text.find(part) != std::string::npos;
}

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

// The indexes of the entries shown, in order.
std::vector<std::uint64_t> indexes(const std::vector<std::string>& args) {
  std::vector<std::string> all = {"log", "-o", "json"};
  all.insert(all.end(), args.begin(), args.end());
  const Outcome outcome = run_inspect(all);
  CHECK(outcome.code == 0);
  std::vector<std::uint64_t> found;
  for (const Json& line : lines_of(outcome.out)) {
    if (line["record"] == "entry") found.push_back(line["index"].get<std::uint64_t>());
  }
  return found;
}

using Indexes = std::vector<std::uint64_t>;

TEST_CASE("log shows an entry in one line and each of its events in one") {
  support::TempDir dir;
  write_sample_log(dir / "log");
  const Outcome outcome = run_inspect({"log", dir.path(), "1..8"});
  CHECK(outcome.code == 0);
  CHECK(outcome.err.empty());
  CHECK(outcome.out ==
        R"(INDEX   TERM  TIME (UTC)                  KIND        EVENTS       SIZE  CODEC
    1      1  2026-03-01 12:00:00.250000  membership       -      400 B  none
       00000000000000a1  voter      10.0.0.1:4002  10.0.0.1:4000
       00000000000000a2  voter      10.0.0.2:4002  10.0.0.2:4000
       00000000000000a3  non-voter  10.0.0.3:4002  10.0.0.3:4000
    2      1  2026-03-01 12:00:00.500000  no-op            -       72 B  -
    3      1  2026-03-01 12:00:00.750000  events           2      304 B  none
    3:0     TopicCreated  topic/weather  r1  {"path":"weather","description":"Wind and rain","owners":["alice"]}
    3:1     ConfigSet  config/limits/upload  r1  {"key":"limits/upload","value":"250 MiB"}
    4      2  2026-03-01 12:00:01.000000  no-op            -       72 B  -
    5      2  2026-03-01 12:00:01.250000  events           1      176 B  none
    5:0     ConfigSet  config/limits/upload  r2  {"key":"limits/upload","value":"300 MiB"}
    6      2  2026-03-01 12:00:01.500000  events           1      160 B  none
    6:0     ConfigSet  config/ka  r1  {"key":"ka","value":"v"}
    7      2  2026-03-01 12:00:01.750000  events           1      160 B  none
    7:0     ConfigSet  config/kb  r1  {"key":"kb","value":"v"}
    8      3  2026-03-01 12:00:02.500000  no-op            -       72 B  -
)");
}

TEST_CASE("log shows the range that was asked for") {
  support::TempDir dir;
  write_sample_log(dir / "log");
  const std::string path = dir.path();
  CHECK(indexes({path}) == Indexes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  CHECK(indexes({path, "4"}) == Indexes{4});
  CHECK(indexes({path, "5..7"}) == Indexes{5, 6, 7});
  CHECK(indexes({path, "11.."}) == Indexes{11, 12});
  CHECK(indexes({path, "..2"}) == Indexes{1, 2});
  CHECK(indexes({path, "-3"}) == Indexes{10, 11, 12});
  CHECK(indexes({"-3", path}) == Indexes{10, 11, 12});
  CHECK(indexes({path, "-100"}).size() == 12);
  const Outcome nothing = run_inspect({"log", path, "900.."});
  CHECK(nothing.code == 0);
  CHECK(nothing.out.empty());
  CHECK(has(nothing.err, "holds entries 1 to 12"));
}

TEST_CASE("log with records shows terms, votes, truncations and what was overwritten") {
  support::TempDir dir;
  write_sample_log(dir / "log");
  const Outcome outcome = run_inspect({"log", dir.path(), "8..9", "--records"});
  CHECK(outcome.code == 0);
  CHECK(outcome.out ==
        R"(INDEX   TERM  TIME (UTC)                  KIND        EVENTS       SIZE  CODEC
    8      2  2026-03-01 12:00:02.000000  events           1      160 B  none   void: overwritten later
    8:0     ConfigSet  config/kc  r1  {"key":"kc","value":"v"}
    9      2  2026-03-01 12:00:02.250000  events           1      160 B  none   void: overwritten later
    9:0     ConfigSet  config/kd  r1  {"key":"kd","value":"v"}
       truncation: entries from 8 on are void
    8      3  2026-03-01 12:00:02.500000  no-op            -       72 B  -
    9      3  2026-03-01 12:00:02.750000  events           1      144 B  none
    9:0     ConfigUnset  config/ka  r2  {"key":"ka"}
)");
  const Outcome all = run_inspect({"log", dir.path(), "--records"});
  CHECK(has(all.out, "       term 1, vote for 00000000000000a1\n    1 "));
  CHECK(has(all.out, "       term 3, no vote\n       truncation"));
}

TEST_CASE("log as JSON is one object a line, with all fields of every event") {
  support::TempDir dir;
  write_sample_log(dir / "log");
  const auto lines = lines_of(run_inspect({"log", dir.path(), "3", "-o", "json", "--records"}).out);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0]["record"] == "entry");
  CHECK(lines[0]["index"] == 3);
  CHECK(lines[0]["term"] == 1);
  CHECK(lines[0]["time"] == "2026-03-01T12:00:00.750000Z");
  CHECK(lines[0]["time_us"] == kNoonUs + 750'000);
  CHECK(lines[0]["events"] == 2);
  CHECK(lines[0]["codec"] == "none");
  CHECK(lines[0]["void"] == false);
  CHECK(lines[0]["segment"] == 1);
  CHECK(lines[1] == Json::parse(R"({"record": "event", "position": "3:0", "term": 1, "void": false,
      "time": "2026-03-01T12:00:00.750000Z", "type": "TopicCreated", "stream": "topic/weather",
      "revision": 1,
      "body": {"path": "weather", "description": "Wind and rain", "owners": ["alice"]}})"));
  CHECK(lines[2]["position"] == "3:1");

  const auto records = lines_of(run_inspect({"log", dir.path(), "-o", "json", "--records"}).out);
  std::size_t voids = 0;
  std::size_t truncations = 0;
  std::size_t hard_states = 0;
  for (const Json& line : records) {
    if (line["record"] == "entry" && line["void"] == true) ++voids;
    if (line["record"] == "truncation") ++truncations;
    if (line["record"] == "hard_state") ++hard_states;
  }
  CHECK(voids == 2);
  CHECK(truncations == 1);
  CHECK(hard_states == 3);
}

TEST_CASE("the offset in JSON is the entry's place in the file") {
  support::TempDir dir;
  const LogWriter log = write_sample_log(dir / "log");
  for (const Json& line : lines_of(run_inspect({"log", dir.path(), "-o", "json"}).out)) {
    if (line["record"] != "entry") continue;
    const std::string bytes = support::read_file(log.path(line["segment"].get<std::uint64_t>()));
    const auto entry =
        wire::verify_entry(wire::as_bytes(bytes).subspan(line["offset"].get<std::uint64_t>()));
    REQUIRE(entry);
    CHECK(entry->index.value() == line["index"].get<std::uint64_t>());
  }
}

TEST_CASE("log shows only the streams and types that were asked for") {
  support::TempDir dir;
  write_sample_log(dir / "log");
  const std::string path = dir.path();
  CHECK(indexes({path, "--stream", "topic/"}) == Indexes{3});
  CHECK(indexes({path, "--stream", "config/kb"}) == Indexes{7, 11, 12});
  CHECK(indexes({path, "--type", "ConfigUnset"}) == Indexes{9});
  CHECK(indexes({path, "--type", "ConfigSet", "--stream", "config/k", "8.."}) == Indexes{11, 12});
  CHECK(indexes({path, "--type", "ConfigSet", "--stream", "topic"}).empty());
  const auto lines =
      lines_of(run_inspect({"log", path, "3", "-o", "json", "--type", "ConfigSet"}).out);
  REQUIRE(lines.size() == 2);
  CHECK(lines[1]["position"] == "3:1");
}

// The schema as it might look in some years.
std::string newer_fbs() {
  std::string text = support::read_file(support::source_dir() / "wire" / "schema" / "event.fbs");
  const auto insert_before = [&text](const std::string& place, const std::string& more) {
    const std::size_t at = text.find(place);
    REQUIRE(at != std::string::npos);
    text.insert(at, more);
  };
  insert_before("table SessionsExpired", "table StreamMerged { from:string; weight:int; }\n");
  const std::string last = "  SessionsExpired\n}";
  REQUIRE(text.find(last) != std::string::npos);
  text.replace(text.find(last), last.size(), "  SessionsExpired,\n  StreamMerged\n}");
  return text;
}

TEST_CASE("an event of a later version is shown by the schema in its segment") {
  flatbuffers::Parser schema;
  REQUIRE(schema.Parse(newer_fbs().c_str()));
  schema.Serialize();
  LogWriterOptions options;
  options.schema.assign(schema.builder_.GetBufferPointer(),
                        schema.builder_.GetBufferPointer() + schema.builder_.GetSize());
  flatbuffers::Parser event;
  REQUIRE(event.Parse(newer_fbs().c_str()));
  REQUIRE(event.ParseJson(R"({"revision": 9, "body_type": "StreamMerged",
                              "body": {"from": "config/a", "weight": 7}})"));
  const std::vector<std::uint8_t> bytes(
      event.builder_.GetBufferPointer(),
      event.builder_.GetBufferPointer() + event.builder_.GetSize());

  support::TempDir dir;
  LogWriter log(dir / "log", options);
  log.events({bytes, encoded(wire::ConfigSet{"k", "v"}, 1)}).block().watermark();
  const Outcome text = run_inspect({"log", dir.path()});
  CHECK(text.code == 0);
  CHECK(has(text.out,
            R"(1:0     StreamMerged  (stream not known)  r9  {"from":"config/a","weight":7})"));
  CHECK(has(text.out, "1:1     ConfigSet  config/k  r1"));
  CHECK(run_inspect({"verify", dir.path()}).code == 0);
  CHECK(indexes({dir.path(), "--type", "StreamMerged"}) == Indexes{1});

  // The same events in a segment with today's schema cannot be decoded, and that is said.
  support::TempDir other;
  LogWriter today(other / "log");
  today.events({bytes, encoded(wire::ConfigSet{"k", "v"}, 1)}).block().watermark();
  const Outcome unknown = run_inspect({"log", other.path()});
  CHECK(unknown.code == 3);
  CHECK(has(unknown.out, "1:0     cannot be decoded"));
  CHECK(has(unknown.out, "1:1     ConfigSet  config/k  r1"));
  CHECK(has(unknown.err, "event 1:0 cannot be decoded"));
}

TEST_CASE("a big entry is shown with its codec and can be read back from JSON") {
  support::TempDir dir;
  write_sample_log(dir / "log");
  CHECK(has(run_inspect({"log", dir.path(), "10"}).out, "lz4"));
  const auto lines = lines_of(run_inspect({"log", dir.path(), "10", "-o", "json"}).out);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["codec"] == "lz4");
  CHECK(lines[0]["body_bytes"].get<int>() > 9000);
  CHECK(lines[1]["body"]["value"] == std::string(9000, 'x'));
}

TEST_CASE("control characters in events reach neither terminal nor JSON as they are") {
  support::TempDir dir;
  LogWriter log(dir / "log");
  log.event(wire::ConfigSet{"k\x1b[2J",
                            "a\xc2\x9b"
                            "b\x7f"},
            1)
      .block()
      .watermark();
  for (const char* format : {"text", "json"}) {
    const Outcome outcome = run_inspect({"log", dir.path(), "-o", format});
    CHECK(outcome.out.find('\x1b') == std::string::npos);
    CHECK(outcome.out.find("\xc2\x9b") == std::string::npos);
    CHECK(outcome.out.find('\x7f') == std::string::npos);
  }
  const auto lines = lines_of(run_inspect({"log", dir.path(), "-o", "json"}).out);
  CHECK(lines.at(1)["body"]["key"] == "k\x1b[2J");
  CHECK(lines.at(1)["body"]["value"] ==
        "a\xc2\x9b"
        "b\x7f");
}

TEST_CASE("log continues after a segment that is missing, and ends with exit code 3") {
  support::TempDir dir;
  const LogWriter log = write_sample_log(dir / "log");
  std::filesystem::remove(log.path(2));
  const Outcome outcome = run_inspect({"log", dir.path()});
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "\n    5 "));
  CHECK(has(outcome.out, "\n   10 "));
  CHECK(has(outcome.err, "entries 6 to 9 are gone"));
}

}  // namespace
}  // namespace bib::inspect
