// The importers: what becomes of records, bad ones included.
#include "cli/importers/importer.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "packages.h"
#include "support/test_support.h"

using namespace bib;
using namespace bib::cli;
using bib::test::kHash;
using bib::test::kPackages;

namespace {

// A record's values, kept beyond its source's next call.
struct Kept {
  std::string place, topic, dataset, version, hash, format, licence, description, homepage, source;
  std::optional<std::uint64_t> size;
  std::vector<std::string> owners, tags;
};

struct Parsed {
  std::vector<Kept> records;
  std::vector<std::string> problems;
};

Parsed parse(std::istream& in, SourceOptions options) {
  auto source = open_source(in, std::move(options));
  CAPTURE(source ? "" : source.error().message);
  REQUIRE(source);
  Parsed parsed;
  while (auto item = (*source)->next()) {
    if (auto* problem = std::get_if<ImportProblem>(&*item)) {
      parsed.problems.push_back(problem->place + ": " + problem->message);
      continue;
    }
    const auto& record = std::get<ImportRecord>(*item);
    const auto& version = record.version;
    parsed.records.push_back({record.place,
                              std::string(version.topic),
                              std::string(version.dataset),
                              std::string(version.version),
                              std::string(version.hash),
                              std::string(version.format),
                              std::string(version.licence),
                              std::string(version.description),
                              std::string(version.homepage),
                              std::string(version.source),
                              version.size,
                              {version.owners.begin(), version.owners.end()},
                              {version.tags.begin(), version.tags.end()}});
  }
  return parsed;
}

Parsed parse_text(const std::string& text, const std::string& topic = {},
                  const std::string& format = {}) {
  std::istringstream in(text);
  return parse(in, {"input", topic, format});
}

}  // namespace

TEST_CASE("a Debian package becomes a dataset with all that its stanza says") {
  Parsed parsed = parse_text(kPackages);
  REQUIRE(parsed.problems.empty());
  REQUIRE(parsed.records.size() == 2);
  const Kept& one = parsed.records[0];
  REQUIRE(one.place == "input:1");
  REQUIRE(one.topic == "games");
  REQUIRE(one.dataset == "one");
  REQUIRE(one.version == "1.0-1");
  REQUIRE(one.hash == "sha256:" + std::string(64, 'a'));
  REQUIRE(one.size == 12345U);
  REQUIRE(one.format == "deb");
  REQUIRE(one.description == "short text");
  REQUIRE(one.homepage == "https://example.org/");
  REQUIRE(one.owners == std::vector<std::string>{"A Person <a@example.org>, and more"});
  REQUIRE(one.tags ==
          std::vector<std::string>{"role::program", "use::gameplaying", "x11::application"});
  REQUIRE(one.source == "pool/o/one.deb");
  // Names of fields do not depend on case; a missing Section is a topic of its own.
  const Kept& two = parsed.records[1];
  REQUIRE(two.place == "input:18");
  REQUIRE(two.dataset == "two");
  REQUIRE(two.version == "2");
  REQUIRE(two.topic == "unknown");
  REQUIRE_FALSE(two.size);
  REQUIRE(two.hash.empty());
  REQUIRE(parse_text(kPackages, "debian/main").records[0].topic == "debian/main/games");
}

TEST_CASE("a bad stanza is reported with its place, and the others are read") {
  Parsed parsed = parse_text(
      "Package: good\nVersion: 1\n\n"
      "Package: no-version\n\n"
      "Version: 1\nSection: x\n\n"
      "Package: bad-size\nVersion: 1\nSize: many\n\n"
      "Package: bad-hash\nVersion: 1\nSHA256: 12\n\n"
      "Package: bad-line\nthis is no field\nVersion: 1\n\n"
      " continued\nPackage: x\n\n"
      "Package: twice\nVersion: 1\nVersion: 2\n\n"
      "Package: also-good\nVersion: 1",
      "", "deb822");
  CAPTURE(parsed.problems);
  REQUIRE(parsed.records.size() == 2);
  REQUIRE(parsed.records[1].dataset == "also-good");
  REQUIRE(parsed.problems.size() == 7);
  REQUIRE(parsed.problems[0].rfind("input:4: ", 0) == 0);
  REQUIRE(parsed.problems[0].find("Version of no-version is missing") != std::string::npos);
  REQUIRE(parsed.problems[1].rfind("input:6: the field Package is missing", 0) == 0);
  REQUIRE(parsed.problems[2].rfind("input:9: ", 0) == 0);
  REQUIRE(parsed.problems[3].rfind("input:13: ", 0) == 0);
  REQUIRE(parsed.problems[4].rfind("input:18: not a line", 0) == 0);
  REQUIRE(parsed.problems[5].rfind("input:21: a continued line", 0) == 0);
  REQUIRE(parsed.problems[6].rfind("input:26: the field Version is given twice", 0) == 0);
}

TEST_CASE("a line or a record beyond all measure is a bad record, not a full memory") {
  std::string long_line = "Package: a\nVersion: 1\nDescription: " + std::string(5U << 20, 'x') +
                          "\n\nPackage: b\nVersion: 1\n";
  Parsed parsed = parse_text(long_line);
  REQUIRE(parsed.problems.size() == 1);
  REQUIRE(parsed.problems[0].rfind("input:3: the record is larger", 0) == 0);
  REQUIRE(parsed.records.size() == 1);
  REQUIRE(parsed.records[0].dataset == "b");

  std::string many_lines = "Package: a\nVersion: 1\nDescription: x\n";
  for (int i = 0; i < 40000; ++i) many_lines += " a line of some thirty characters\n";
  parsed = parse_text(many_lines + "\nPackage: b\nVersion: 1\n");
  REQUIRE(parsed.problems.size() == 1);
  REQUIRE(parsed.records.size() == 1);
  REQUIRE(parsed.records[0].place == "input:40005");
}

TEST_CASE("a resource of a Data Package becomes a dataset, and inherits what the package says") {
  Parsed parsed = parse_text(R"({
    "name": "weather", "version": "3.2", "description": "All about it",
    "homepage": "https://example.org",
    "licenses": [{"name": "CC0-1.0"}, {"title": "Another"}],
    "contributors": [{"title": "Ada"}], "keywords": ["rain", "sun"],
    "resources": [
      {"name": "daily", "path": "data/daily.csv", "format": ".csv", "bytes": 77,
       "hash": "sha1:0123456789abcdef0123456789abcdef01234567", "sources": [{"title": "Office"}, {"title": "Ada"}],
       "keywords": ["rain", "daily"]},
      {"name": "own", "version": "1", "hash": "0123456789abcdef0123456789abcdef",
       "licenses": [{"path": "https://l"}], "path": ["a.json", "b.json"], "title": "T"}
    ]})");
  REQUIRE(parsed.problems.empty());
  REQUIRE(parsed.records.size() == 2);
  const Kept& daily = parsed.records[0];
  REQUIRE(daily.place == "input: resource 1 (daily)");
  REQUIRE(daily.topic == "weather");
  REQUIRE(daily.dataset == "daily");
  REQUIRE(daily.version == "3.2");
  REQUIRE(daily.hash == "sha1:0123456789abcdef0123456789abcdef01234567");
  REQUIRE(daily.size == 77U);
  REQUIRE(daily.format == "csv");
  REQUIRE(daily.licence == "CC0-1.0, Another");
  REQUIRE(daily.owners == std::vector<std::string>{"Ada", "Office"});
  REQUIRE(daily.tags == std::vector<std::string>{"rain", "daily", "sun"});
  REQUIRE(daily.homepage == "https://example.org");
  REQUIRE(daily.source == "data/daily.csv");
  const Kept& own = parsed.records[1];
  REQUIRE(own.version == "1");
  REQUIRE(own.hash == "md5:0123456789abcdef0123456789abcdef");
  REQUIRE(own.licence == "https://l");
  REQUIRE(own.description == "T");
  REQUIRE(own.source == "a.json");
}

TEST_CASE("a version that nobody states follows from the content, the same each time") {
  auto version_of = [](const std::string& resource) {
    return parse_text(R"({"name": "p", "resources": [)" + resource + "]}").records[0].version;
  };
  REQUIRE(version_of(R"({"name": "a", "hash": "sha256:)" + kHash + R"("})") ==
          "sha256-aaaaaaaaaaaa");
  REQUIRE(version_of(R"({"name": "a", "hash": "0123456789abcdef0123456789abcdef"})") ==
          "md5-0123456789ab");
  std::string derived = version_of(R"({"name": "a", "path": "x.csv"})");
  REQUIRE(derived.rfind("descriptor-", 0) == 0);
  REQUIRE(derived.size() == std::string("descriptor-").size() + 12);
  // The order of keys and blanks do not matter; the content does.
  REQUIRE(version_of(R"({"path":"x.csv",   "name":"a"})") == derived);
  REQUIRE(version_of(R"({"name": "a", "path": "y.csv"})") != derived);
}

TEST_CASE("a hash has the digits that its algorithm has, or the resource is a bad one") {
  const auto parsed_hash = [](const std::string& hash) {
    return parse_text(R"({"name": "p", "resources": [{"name": "x", "hash": ")" + hash + R"("}]})");
  };
  for (const auto& [name, digits] : std::map<std::string, std::size_t>{
           {"md5:", 32}, {"", 32}, {"sha1:", 40}, {"sha256:", 64}, {"sha512:", 128}}) {
    const std::string algorithm = name.empty() ? "md5:" : name;
    CAPTURE(name);
    CHECK(parsed_hash(name + std::string(digits, 'a')).records.at(0).hash ==
          algorithm + std::string(digits, 'a'));
    for (const std::string& wrong : {std::string(digits - 1, 'a'), std::string(digits + 1, 'a'),
                                     std::string(digits - 1, 'a') + 'g', std::string("zzz")}) {
      const Parsed parsed = parsed_hash(name + wrong);
      CHECK(parsed.records.empty());
      CHECK(parsed.problems.size() == 1);
      CHECK(parsed.problems.at(0).rfind(
                fmt::format("input: resource 1 (x): the hash is not {} hex digits", digits), 0) ==
            0);
    }
  }
  // Hex digits may be written in capitals; the same hash is stored the same.
  CHECK(parsed_hash("SHA256:" + kHash).records.at(0).hash == "sha256:" + std::string(64, 'a'));
  CHECK(parsed_hash("crc32:Xyz").records.at(0).hash == "crc32:Xyz");
  CHECK(parsed_hash("crc32:").problems.size() == 1);
  CHECK(parsed_hash(":abc").problems.size() == 1);
}

TEST_CASE("titles over several lines become one line, and a mark of byte order is no content") {
  const Parsed parsed = parse_text(
      "\xef\xbb\xbf"
      R"({"name": "p", "resources": [{"name": "x", "sources": [{"title": " a\n  b\t"}],)"
      R"("licenses": [{"name": "CC\nBY"}], "keywords": ["one\n\ntwo"]}]})");
  REQUIRE(parsed.records.size() == 1);
  CHECK(parsed.records[0].owners == std::vector<std::string>{"a b"});
  CHECK(parsed.records[0].tags == std::vector<std::string>{"one two"});
  CHECK(parsed.records[0].licence == "CC BY");
  CHECK(parse_text("\xef\xbb\xbfPackage: a\nVersion: 1\n").records.size() == 1);
}

TEST_CASE("what is no Data Package, or a bad resource of one, is reported with its place") {
  REQUIRE(parse_text("{\n  \"name\": oops\n}").problems[0].rfind("input:2:11: not JSON", 0) == 0);
  REQUIRE(parse_text("{}").problems.size() == 1);
  REQUIRE(parse_text(R"({"resources": []})").problems[0].find("--topic") != std::string::npos);
  REQUIRE(parse_text(R"({"resources": []})", "t").problems.empty());
  Parsed parsed = parse_text(
      R"({"name": "p", "resources": [{}, 7, {"name": "x", "bytes": "many"}, {"name": "ok"}]})");
  REQUIRE(parsed.records.size() == 1);
  REQUIRE(parsed.problems ==
          std::vector<std::string>{"input: resource 1: the resource has no name",
                                   "input: resource 2: not a JSON object",
                                   "input: resource 3 (x): 'bytes' is not a whole number"});
}

TEST_CASE("the format is seen from the content, and what is neither is said") {
  for (const auto& [text, part] :
       std::map<std::string, std::string>{{"", "empty"},
                                          {"a,b,c\n1,2,3\n", "--format"},
                                          {std::string("\xfd\x37zXZ\0", 6) + "...", "compressed"},
                                          {"name: x\nresources:\n  - path: y\n", "YAML"}}) {
    std::istringstream in(text);
    auto source = open_source(in, {"input", "", ""});
    REQUIRE_FALSE(source);
    CAPTURE(source.error().message);
    REQUIRE(source.error().message.find(part) != std::string::npos);
  }
}

TEST_CASE("the real Data Packages at hand are read whole") {
  auto shared = support::shared_dir();
  if (!shared) return support::skip("no shared data beside the checkout");
  std::size_t files = 0;
  for (const char* folder : {"data/catalog/vega-datasets", "data/catalog/frictionless"}) {
    if (!std::filesystem::exists(*shared / folder)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(*shared / folder)) {
      if (entry.path().extension() != ".json") continue;
      CAPTURE(entry.path());
      std::ifstream in(entry.path(), std::ios::binary);
      Parsed parsed = parse(in, {"input", "", ""});
      REQUIRE(parsed.problems.empty());
      REQUIRE_FALSE(parsed.records.empty());
      if (entry.path().filename() == "datapackage.json") {
        REQUIRE(parsed.records.size() == 73);
        REQUIRE(parsed.records[0].topic == "vega-datasets");
        REQUIRE(parsed.records[0].hash.rfind("sha1:", 0) == 0);
        REQUIRE(parsed.records[0].size == 3969U);
      }
      ++files;
    }
  }
  if (files == 0) return support::skip("no Data Packages in the shared data");
}

TEST_CASE("the real package index at hand is read whole") {
  auto shared = support::shared_dir();
  if (!shared) return support::skip("no shared data beside the checkout");
  auto file = *shared / "data/catalog/debian-security/bookworm-security-main-amd64.Packages.xz";
  if (!std::filesystem::exists(file)) return support::skip("no package index in the shared data");
  support::TempDir dir;
  std::string unpacked = (dir / "Packages").string();
  std::string command = fmt::format("xz -dc '{}' > '{}'", file.string(), unpacked);
  if (std::system(command.c_str()) != 0) return support::skip("xz is not installed");
  std::ifstream in(unpacked, std::ios::binary);
  Parsed parsed = parse(in, {"input", "", ""});
  REQUIRE(parsed.problems.empty());
  REQUIRE(parsed.records.size() > 3000);
  for (const Kept& record : parsed.records) {
    REQUIRE_FALSE(record.version.empty());
    REQUIRE(record.hash.size() == 7 + 64);
    REQUIRE(record.size);
  }
}
