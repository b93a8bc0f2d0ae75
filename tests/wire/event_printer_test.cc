#include <flatbuffers/idl.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "damage.h"
#include "event_samples.h"
#include "support/test_support.h"
#include "wire/model/event.h"

namespace bib::wire {
namespace {

using Json = nlohmann::json;
using Schema = std::vector<std::uint8_t>;

std::string event_fbs() {
  return support::read_file(support::source_dir() / "wire" / "schema" / "event.fbs");
}

std::string replace_once(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  REQUIRE(text.find(from, at + 1) == std::string::npos);
  return text.replace(at, from.size(), to);
}

// The schema as it might look in some years: more fields, more bodies.
std::string newer_fbs() {
  std::string text = event_fbs();
  text = replace_once(text,
                      "table ConfigSet {\n  key:string (required);\n  value:string (required);\n",
                      "table ConfigSet {\n  key:string (required);\n  value:string (required);\n"
                      "  comment:string;\n  priority:int = 5;\n  level:double = 0.5;\n"
                      "  hidden:bool = true;\n  score:short = null;\n");
  text =
      replace_once(text, "table SessionsExpired",
                   "enum Colour : short { Red = -1, Green = 1 }\n"
                   "table Part { colour:Colour = Green; weights:[float]; checksum:[ubyte]; }\n"
                   "table StreamMerged { from:string (required); parts:[Part]; marks:[Colour]; }\n"
                   "table SessionsExpired");
  text = replace_once(text, "  SessionsExpired\n}", "  SessionsExpired,\n  StreamMerged\n}");
  return replace_once(text, "  body:EventBody (required);\n}",
                      "  body:EventBody (required);\n  trace:string;\n}");
}

Schema compile(const std::string& fbs) {
  flatbuffers::Parser parser;
  REQUIRE(parser.Parse(fbs.c_str()));
  parser.Serialize();
  return {parser.builder_.GetBufferPointer(),
          parser.builder_.GetBufferPointer() + parser.builder_.GetSize()};
}

// An event's bytes, as a writer with that schema would make them.
std::vector<std::uint8_t> write_event(const std::string& fbs, const std::string& json) {
  flatbuffers::Parser parser;
  REQUIRE(parser.Parse(fbs.c_str()));
  const bool parsed = parser.ParseJson(json.c_str());
  INFO(parser.error_);
  REQUIRE(parsed);
  return {parser.builder_.GetBufferPointer(),
          parser.builder_.GetBufferPointer() + parser.builder_.GetSize()};
}

EventPrinter printer_of(ByteView schema) {
  auto printer = EventPrinter::from_schema(schema);
  if (!printer) FAIL(printer.error().message);
  return *std::move(printer);
}

Json printed(const EventPrinter& printer, ByteView event) {
  const auto text = printer.to_json(event);
  if (!text) FAIL(text.error().message);
  return Json::parse(*text);
}

const std::string kOrigin = R"("origin":{"client":"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf","sequence":)";

TEST_CASE("an event is printed in one line with its type, revision, origin and body in order") {
  EventEncoder encoder;
  const EventPrinter printer = printer_of(event_schema());
  const auto text = printer.to_json(encoder.encode(full_events().at(4).event));
  REQUIRE(text);
  CHECK(*text == R"({"type":"ConfigSet","revision":5,)" + kOrigin +
                     R"(45,"digest":"0123456789abcdef","forget_from":30,"forget_to":40},)" +
                     R"("body":{"key":"limits/upload","value":"250 MiB"}})");
}

TEST_CASE("every body is printed with all that it says") {
  const std::vector<std::string> bodies = {
      R"({"path":"physics/cern/higgs","description":"Collisions, 2012 – 2018",
          "schema":"{\"type\":\"record\"}","owners":["alice","bob"],
          "tags":["open","physics","ünïcode"]})",
      R"({"path":"physics/cern/higgs","description":"Collisions","schema":"{}","owners":["carol"],
          "tags":["closed"]})",
      R"({"path":"physics/cern/higgs","status":"Archived"})",
      R"({"topic":"physics/cern/higgs","dataset":"collisions","version":"2018-b",
          "hash":"sha256:00ff","size":5000000000,"size_known":true,"format":"parquet",
          "licence":"CC-BY-4.0","description":"The second half of 2018",
          "homepage":"https://example.org/collisions","owners":["alice"],"tags":["open","raw"],
          "holders":["0000000000000001","fedcba9876543210"],"source":"https://example.org/collisions.parquet"})",
      R"({"key":"limits/upload","value":"250 MiB"})",
      R"({"key":"limits/upload"})",
      R"({"secret_sha256":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
          "expires_at_us":1700000000000000})",
      R"({"name":"resample","version":"2.1","definition":"{\"image\":\"resample:2.1\"}",
          "description":"Resamples a dataset"})",
      R"({"id":"job-0001","task":"resample","task_version":"2.1","parameters":"{\"rate\":10}"})",
      R"({"id":"job-0001","state":"Failed","message":"out of memory"})",
      R"({"records":[{"client":"0102030405060708090a0b0c0d0e0f10","sequence":7},
                     {"client":"02030405060708090a0b0c0d0e0f1011","sequence":9}]})",
  };
  EventEncoder encoder;
  const EventPrinter printer = printer_of(event_schema());
  const auto samples = full_events();
  REQUIRE(samples.size() == bodies.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Json json = printed(printer, encoder.encode(samples[i].event));
    CHECK(json.at("type") == std::string(event_type_name(samples[i].event.body)));
    CHECK(json.at("revision") == i + 1);
    CHECK(json.at("body") == Json::parse(bodies[i]));
  }
}

TEST_CASE("what an event does not say is left out, and a number or name stands for its default") {
  EventEncoder encoder;
  const EventPrinter printer = printer_of(event_schema());
  const auto samples = bare_events();
  CHECK(printed(printer, encoder.encode(samples.at(2).event)) ==
        Json::parse(R"({"type":"TopicStatusChanged","revision":0,
                        "body":{"path":"a","status":"Active"}})"));
  CHECK(printed(printer, encoder.encode(samples.at(10).event)) ==
        Json::parse(R"({"type":"SessionsExpired","revision":0,"body":{}})"));
}

TEST_CASE(
    "an event with a body and fields that this build does not know prints by its own schema") {
  const std::string fbs = newer_fbs();
  const auto event = write_event(fbs, R"({"revision": 9, "trace": "t-1",
      "body_type": "StreamMerged",
      "body": {"from": "config/a", "marks": ["Red", "Green"],
               "parts": [{"colour": "Red", "weights": [0.5, 2], "checksum": [222, 173]}, {}]}})");
  REQUIRE_FALSE(read_event(event));
  CHECK(read_event(event).error().code == ErrorCode::kUnsupported);
  CHECK(printed(printer_of(compile(fbs)), event) == Json::parse(R"({
      "type": "StreamMerged", "revision": 9, "trace": "t-1",
      "body": {"from": "config/a", "marks": ["Red", "Green"],
               "parts": [{"colour": "Red", "weights": [0.5, 2.0], "checksum": "dead"},
                         {"colour": "Green"}]}})"));
}

TEST_CASE("today's schema prints a newer event of a known body without what it cannot know") {
  const auto event = write_event(newer_fbs(), R"({"revision": 9, "trace": "t-1",
      "body_type": "ConfigSet", "body": {"key": "k", "value": "v", "comment": "c", "priority": 7}})");
  CHECK(printed(printer_of(event_schema()), event) ==
        Json::parse(R"({"type":"ConfigSet","revision":9,"body":{"key":"k","value":"v"}})"));
  CHECK(read_event(event));
}

TEST_CASE("today's schema says which body of a newer event it does not know") {
  const auto event = write_event(newer_fbs(), R"({"body_type": "StreamMerged",
      "body": {"from": "config/a"}})");
  const auto text = printer_of(event_schema()).to_json(event);
  REQUIRE_FALSE(text);
  CHECK(text.error().code == ErrorCode::kUnsupported);
  CHECK(text.error().message.find("number 12") != std::string::npos);
}

TEST_CASE("an event of today prints by a newer schema, with the newer fields at their defaults") {
  EventEncoder encoder;
  const EventPrinter newer = printer_of(compile(newer_fbs()));
  const EventPrinter today = printer_of(event_schema());
  for (const EventSample& sample : full_events()) {
    const ByteView bytes = encoder.encode(sample.event);
    Json json = printed(newer, bytes);
    if (sample.name == "config-set") {
      Json& body = json.at("body");
      CHECK(body.at("priority") == 5);
      CHECK(body.at("level") == 0.5);
      CHECK(body.at("hidden") == true);
      CHECK_FALSE(body.contains("score"));
      CHECK_FALSE(body.contains("comment"));
      for (const char* field : {"priority", "level", "hidden"}) body.erase(field);
    }
    CHECK(json == printed(today, bytes));
  }
}

TEST_CASE("the schema that the library carries is event.fbs, compiled") {
  EventEncoder encoder;
  const EventPrinter carried = printer_of(event_schema());
  const EventPrinter compiled = printer_of(compile(event_fbs()));
  for (const EventSample& sample : full_events()) {
    const ByteView bytes = encoder.encode(sample.event);
    CHECK(printed(carried, bytes) == printed(compiled, bytes));
  }
}

TEST_CASE("an event's text that is not UTF-8 is printed with replacement characters") {
  EventEncoder encoder;
  const Json json =
      printed(printer_of(event_schema()), encoder.encode({.body = ConfigSet{.key = "k",
                                                                            .value = "a\xff"
                                                                                     "b"}}));
  CHECK(json.at("body").at("value") ==
        "a\xef\xbf\xbd"
        "b");
}

TEST_CASE("an event that is cut off or damaged never prints from outside its bytes") {
  EventEncoder encoder;
  const EventPrinter printer = printer_of(event_schema());
  const auto print = [&printer](ByteView bytes) { return printer.to_json(bytes); };
  for (const EventSample& sample : full_events()) {
    const ByteView bytes = encoder.encode(sample.event);
    const std::string whole = *print(bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const ExactCopy cut(bytes.first(size));
      const auto text = print(cut.view());
      if (!text) continue;
      REQUIRE(bytes.size() - size <= kTailPaddingMax + 1);  // and a text's final zero
      REQUIRE(*text == whole);
    }
    std::mt19937_64 random(bytes.size());
    for (int round = 0; round < 1000; ++round) {
      ExactCopy copy(bytes);
      for (int flip = 0; flip < 3; ++flip) {
        const std::uint64_t bit = random() % (bytes.size() * 8);
        copy.data()[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      }
      const auto text = print(copy.view());
      if (text) REQUIRE(Json::accept(*text));
    }
  }
}

TEST_CASE("an event whose tables refer to each other without an end is refused") {
  const std::string fbs =
      "table T { next:T; many:[T]; } union B { T } table R { b:B; } root_type R;";
  const EventPrinter printer = printer_of(compile(fbs));
  std::string nested = "{}";
  for (int depth = 0; depth < 40; ++depth) nested = "{\"next\": " + nested + "}";
  const auto deep = write_event(fbs, "{\"b_type\": \"T\", \"b\": " + nested + "}");
  const auto text = printer.to_json(deep);
  REQUIRE_FALSE(text);
  CHECK(text.error().message.find("deeper") != std::string::npos);

  // Sixteen levels, each a list of sixteen references to one table of the next level.
  flatbuffers::FlatBufferBuilder fbb;
  flatbuffers::uoffset_t level = 0;
  for (int i = 0; i < 16; ++i) {
    const std::vector<flatbuffers::Offset<void>> refs(level == 0 ? 0 : 16, level);
    const auto many = fbb.CreateVector(refs);
    const auto start = fbb.StartTable();
    fbb.AddOffset(6, many);
    level = fbb.EndTable(start);
  }
  const auto start = fbb.StartTable();
  fbb.AddOffset(6, flatbuffers::Offset<void>(level));
  fbb.AddElement<std::uint8_t>(4, 1, 0);
  fbb.Finish(flatbuffers::Offset<void>(fbb.EndTable(start)));
  const auto wide = printer.to_json({fbb.GetBufferPointer(), fbb.GetSize()});
  REQUIRE_FALSE(wide);
  CHECK(wide.error().message.find("overlap") != std::string::npos);
}

TEST_CASE("bytes that are no compiled schema, or one without a root table, are refused") {
  const Schema rootless = compile("table T { a:int; }");
  const Schema struct_only = compile("struct S { a:int; }");
  const std::vector<std::uint8_t> zeros(64, 0);
  for (const ByteView bytes :
       {ByteView(), ByteView(zeros), ByteView(rootless), ByteView(struct_only)}) {
    const auto printer = EventPrinter::from_schema(bytes);
    REQUIRE_FALSE(printer);
    CHECK(printer.error().code == ErrorCode::kCorrupt);
  }
}

TEST_CASE("a damaged compiled schema is refused, or used without reading outside anything") {
  EventEncoder encoder;
  const auto samples = full_events();
  const ByteView schema = event_schema();
  for (std::size_t size = 0; size < schema.size(); size += 61) {
    const ExactCopy cut(schema.first(size));
    static_cast<void>(EventPrinter::from_schema(cut.view()));
  }
  std::mt19937_64 random(1);
  int used = 0;
  for (int round = 0; round < 3000; ++round) {
    ExactCopy copy(schema);
    for (int flip = 0; flip < 2; ++flip) {
      const std::uint64_t bit = random() % (schema.size() * 8);
      copy.data()[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    }
    const auto printer = EventPrinter::from_schema(copy.view());
    if (!printer) continue;
    ++used;
    const auto text = printer->to_json(encoder.encode(samples[random() % samples.size()].event));
    if (text) REQUIRE(Json::accept(*text));
  }
  CHECK(used > 0);
}

}  // namespace
}  // namespace bib::wire
