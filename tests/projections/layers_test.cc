// The layers against plain maps, with random operations: what decide() sees, what is applied, what
// a view always shows, and what reaches the store.
#include <catch2/catch.hpp>

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "machine.h"
#include "projections/state/delta.h"
#include "projections/state/merge.h"
#include "projections/state/rocks_state.h"
#include "support/test_support.h"
#include "wire/base/prng.h"

namespace bib::projections {
namespace {

using Map = std::map<std::pair<Family, std::string>, std::string>;

class LayersModel {
 public:
  LayersModel(Store& store, std::uint64_t seed)
      : store_(store), random_(seed), layers_(store, StateMark{}, random_.below(2) * 20000) {}

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      switch (random_.below(14)) {
        case 0:
        case 1:
        case 2:
          add_pending_entry();
          break;
        case 3:
        case 4:
        case 5:
          apply_one();
          break;
        case 6:
          if (random_.below(8) == 0) drop_pending();
          break;
        case 7:
          if (sets_.empty()) change_applied();
          break;
        case 8:
          take();
          break;
        case 9:
          write();
          break;
        case 10:
          keep_view();
          break;
        case 11:
          check_view(random_.below(views_.size() + 1));
          break;
        default:
          check_row();
      }
    }
    finish();
  }

 private:
  struct Kept {
    std::shared_ptr<const StateView> view;
    Map rows;
  };

  Family random_family() { return random_.below(2) == 0 ? Family::kConfig : Family::kSessions; }
  std::string random_name() { return "k" + std::to_string(random_.below(40)); }

  void add_pending_entry() {
    ChangeSet set;
    for (std::uint64_t i = random_.below(5); i > 0; --i) {
      const Family family = random_family();
      const std::string name = random_name();
      const RowKey key = make_row_key(family, name);
      if (random_.below(3) == 0) {
        must(layers_.change_pending(StoredRow::make_tombstone(key), set));
        pending_.erase({family, name});
      } else {
        const std::string value = std::to_string(random_.next());
        const bool known_new = !pending_.contains({family, name}) && random_.below(2) == 0;
        must(layers_.change_pending(StoredRow::make(key, wire::as_bytes(value)), set, known_new));
        pending_[{family, name}] = value;
      }
    }
    sets_.push_back({std::move(set), pending_});
  }
  void apply_one() {
    if (sets_.empty()) return;
    layers_.apply_pending(sets_.front().first);
    applied_ = sets_.front().second;
    sets_.pop_front();
    advance();
  }
  void drop_pending() {
    layers_.drop_pending();
    sets_.clear();
    pending_ = applied_;
  }
  void change_applied() {
    const Family family = random_family();
    const std::string name = random_name();
    const RowKey key = make_row_key(family, name);
    if (random_.below(2) == 0) {
      must(layers_.change_applied(StoredRow::make_tombstone(key)));
      applied_.erase({family, name});
    } else {
      must(layers_.change_applied(StoredRow::make(key, wire::as_bytes("direct"))));
      applied_[{family, name}] = "direct";
    }
    pending_ = applied_;
    advance();
  }
  void advance() {
    layers_.set_applied(layers_.mark().applied_index + 1, wire::Term(1));
    REQUIRE(layers_.mark().digests == digests_of(applied_));
  }
  void take() {
    if (!taken_.empty()) return;
    taken_ = layers_.take_for_store();
  }
  void write() {
    if (taken_.empty()) return;
    must(store_deltas(taken_, store_));
    written_ = taken_.back()->mark();
    // Sometimes the layers hear of it later: both are right.
    if (random_.below(2) == 0) return;
    layers_.drop_written(taken_.back()->mark().applied_index);
    taken_.clear();
  }
  void keep_view() {
    if (views_.size() == 3) views_.erase(views_.begin());
    views_.push_back({layers_.view(), applied_});
  }

  static DigestSet digests_of(const Map& rows) {
    DigestSet digests{};
    for (const auto& [key, value] : rows) {
      digests[family_index(key.first)].add(
          StoredRow::make(make_row_key(key.first, key.second), wire::as_bytes(value))->digest());
    }
    return digests;
  }
  static void check_found(const RowPtr& row, const Map& model, Family family,
                          const std::string& name) {
    const auto expected = model.find({family, name});
    REQUIRE(static_cast<bool>(row) == (expected != model.end()));
    if (row) REQUIRE(wire::as_text(row->value()) == expected->second);
  }
  void check_row() {
    const Family family = random_family();
    const std::string name = random_name();
    const RowKey key = make_row_key(family, name);
    check_found(must(layers_.find(key)), pending_, family, name);
    check_found(must(layers_.find_applied(key)), applied_, family, name);
    for (const Kept& kept : views_) {
      check_found(must(kept.view->find(key)), kept.rows, family, name);
    }
  }
  // Pages of a random size behind one another are the whole list, in order.
  void check_view(std::size_t which) {
    if (which >= views_.size()) return;
    const Kept& kept = views_[which];
    const Family family = random_family();
    const std::string prefix = random_.below(2) == 0 ? "" : "k" + std::to_string(random_.below(4));
    std::vector<std::pair<std::string, std::string>> expected, found;
    for (const auto& [key, value] : kept.rows) {
      if (key.first == family && key.second.starts_with(prefix)) {
        expected.emplace_back(key.second, value);
      }
    }
    const std::size_t page = 1 + random_.below(7);
    for (;;) {
      const std::size_t before = found.size();
      std::string after = found.empty() ? "" : found.back().first;
      ScanRange range{.prefix = prefix, .limit = page};
      if (!found.empty()) range.after = after;
      must(scan(*kept.view, family, range, [&](std::string_view key, wire::ByteView value) {
        found.emplace_back(key, wire::as_text(value));
        return true;
      }));
      if (found.size() - before < page) break;
    }
    REQUIRE(found == expected);
  }
  void finish() {
    while (!sets_.empty()) apply_one();
    if (!taken_.empty()) {
      must(store_deltas(taken_, store_));
      layers_.drop_written(taken_.back()->mark().applied_index);
      taken_.clear();
    }
    const auto deltas = layers_.take_for_store();
    if (!deltas.empty()) {
      must(store_deltas(deltas, store_));
      layers_.drop_written(deltas.back()->mark().applied_index);
    }
    REQUIRE(layers_.sizes().frozen_deltas == 0);
    REQUIRE(must(read_mark(store_)) == layers_.mark());
    REQUIRE(must(compute_digests(*store_.view())) == digests_of(applied_));
    for (std::size_t i = 0; i < views_.size(); ++i) check_view(i);
    views_.clear();
  }

  Store& store_;
  wire::Prng random_;
  Layers layers_;
  Map pending_;  // as decide() sees it
  Map applied_;
  std::deque<std::pair<ChangeSet, Map>> sets_;  // on their way, and the state after each
  std::vector<DeltaPtr> taken_;
  StateMark written_;
  std::vector<Kept> views_;
};

TEST_CASE("the layers over a memory store show what plain maps show") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    MemoryStore store;
    LayersModel(store, seed).run(1500);
  }
}

TEST_CASE("the layers over RocksDB show what plain maps show") {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    INFO("seed " << seed);
    const support::TempDir directory;
    // Writes through memtables, as table files, and by turns.
    const std::size_t ingest_bytes_min = std::array<std::size_t, 3>{1, 1000, 1U << 20}[seed % 3];
    const auto store =
        must(RocksStore::open(directory / "state", {.ingest_bytes_min = ingest_bytes_min}));
    LayersModel(*store, seed).run(1500);
  }
}

void put(Layers& layers, const std::string& key) {
  must(layers.change_applied(
      StoredRow::make(make_row_key(Family::kConfig, key), wire::as_bytes("value"))));
}
void erase(Layers& layers, const std::string& key) {
  must(layers.change_applied(StoredRow::make_tombstone(make_row_key(Family::kConfig, key))));
}

TEST_CASE("a new row that is erased before the next freeze leaves nothing behind") {
  MemoryStore store;
  Layers layers(store, StateMark{}, 0);
  put(layers, "old");
  layers.freeze();
  put(layers, "new");
  erase(layers, "new");
  REQUIRE(layers.sizes().active_rows == 0);
  // What lies below needs a tombstone.
  erase(layers, "old");
  REQUIRE(layers.sizes().active_rows == 1);
  put(layers, "old");
  erase(layers, "old");
  REQUIRE(layers.sizes().active_rows == 1);
  REQUIRE(layers.mark().digests == DigestSet{});
}

TEST_CASE("many views between few changes do not make the chain of frozen deltas long") {
  MemoryStore store;
  Layers layers(store, StateMark{}, 0);
  for (int i = 0; i < 1000; ++i) {
    put(layers, "key" + std::to_string(i));
    layers.set_applied(layers.mark().applied_index + 1, wire::Term(1));
    const auto view = layers.view();
    REQUIRE(layers.view() == view);
    REQUIRE(layers.sizes().frozen_deltas <= 12);
  }
  std::size_t rows = 0;
  must(scan(*layers.view(), Family::kConfig, {}, [&](std::string_view, wire::ByteView) {
    ++rows;
    return true;
  }));
  REQUIRE(rows == 1000);
}

}  // namespace
}  // namespace bib::projections
