// The hash table and the cache below the layers, against maps.
#include "projections/state/row_table.h"

#include <catch2/catch.hpp>

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "projections/state/digest.h"
#include "projections/state/row_cache.h"
#include "wire/base/prng.h"

namespace bib::projections {
namespace {

RowPtr make_row(const RowKey& key, std::string_view value) {
  return StoredRow::make(key, wire::as_bytes(value));
}

TEST_CASE("a row holds its key and value, its value aligned, and hashes all of them") {
  for (std::size_t size = 0; size < 20; ++size) {
    const std::string name(size, 'k');
    const RowKey key = make_row_key(Family::kConfig, name);
    const RowPtr row = make_row(key, "value");
    REQUIRE(row->key() == name);
    REQUIRE(wire::as_text(row->value()) == "value");
    REQUIRE(reinterpret_cast<std::uintptr_t>(row->value().data()) % 8 == 0);
    REQUIRE(row->is(key));
    REQUIRE_FALSE(row->digest() == make_row(key, "valuf")->digest());
    REQUIRE_FALSE(row->digest() == make_row(make_row_key(Family::kTasks, name), "value")->digest());
  }
  // The same bytes, split elsewhere into key and value.
  REQUIRE_FALSE(make_row(make_row_key(Family::kConfig, "ab"), "c")->digest() ==
                make_row(make_row_key(Family::kConfig, "a"), "bc")->digest());
}

TEST_CASE("a digest does not depend on the order of adding, and removing undoes it") {
  const RowPtr a = make_row(make_row_key(Family::kConfig, "a"), "1");
  const RowPtr b = make_row(make_row_key(Family::kConfig, "b"), "2");
  Digest ab, ba;
  ab.add(a->digest());
  ab.add(b->digest());
  ba.add(b->digest());
  ba.add(a->digest());
  REQUIRE(ab == ba);
  REQUIRE(ab.rows == 2);
  Digest difference;
  difference.remove(a->digest());
  difference.remove(b->digest());
  ab.add(difference);
  REQUIRE(ab == Digest{});
}

// Few hashes, so that rows crowd and every erase has to shift.
TEST_CASE("the table holds what a map holds, also when hashes collide") {
  wire::Prng random(7);
  for (int round = 0; round < 20; ++round) {
    RowTable table;
    std::map<std::string, std::string> model;
    const std::uint64_t hashes = round % 2 == 0 ? 11 : 1'000'000;
    for (int step = 0; step < 3000; ++step) {
      const std::string name = std::to_string(random.below(200));
      const RowKey key{Family::kConfig, name, 1 + std::hash<std::string>{}(name) % hashes};
      if (random.below(3) == 0) {
        RowTable::Slot* slot = table.find(key);
        REQUIRE((slot != nullptr) == model.contains(name));
        if (slot != nullptr) table.erase(slot);
        model.erase(name);
      } else {
        const std::string value = std::to_string(random.next());
        REQUIRE(table.put(make_row(key, value)).inserted == !model.contains(name));
        model[name] = value;
      }
      REQUIRE(table.size() == model.size());
    }
    std::size_t bytes = 0;
    for (const auto& [name, value] : model) {
      const RowKey key{Family::kConfig, name, 1 + std::hash<std::string>{}(name) % hashes};
      const RowTable::Slot* slot = std::as_const(table).find(key);
      REQUIRE(slot != nullptr);
      REQUIRE(wire::as_text(slot->row->value()) == value);
      bytes += slot->row->bytes();
    }
    REQUIRE(table.row_bytes() == bytes);
  }
}

TEST_CASE("the cache never answers with an old row and stays within its bytes") {
  wire::Prng random(3);
  RowCache cache(20000, 128);
  std::map<std::string, std::string> model;
  std::size_t hits = 0;
  for (int step = 0; step < 20000; ++step) {
    const std::string name = std::to_string(random.below(300));
    const RowKey key = make_row_key(Family::kConfig, name);
    switch (random.below(4)) {
      case 0: {
        model.erase(name);
        cache.update(StoredRow::make_tombstone(key));
        break;
      }
      case 1: {
        // Now and then one that is too large to be kept.
        model[name] = std::string(random.below(50) == 0 ? 5000 : random.below(100), 'x') +
                      std::to_string(step);
        cache.update(make_row(key, model[name]));
        break;
      }
      default: {
        const StoredRow* row = cache.find(key);
        if (row == nullptr) break;
        ++hits;
        REQUIRE(model.contains(name));
        REQUIRE(wire::as_text(row->value()) == model[name]);
      }
    }
    REQUIRE(cache.bytes() <= 20000);
  }
  REQUIRE(hits > 1000);
}

}  // namespace
}  // namespace bib::projections
