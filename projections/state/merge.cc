#include "projections/state/merge.h"

#include <algorithm>
#include <string>
#include <utility>

#include "projections/state/keys.h"
#include "wire/base/mutant.h"

namespace bib::projections {

using wire::ByteView;
using wire::Status;

namespace {

class DeltaCursor final : public Cursor {
 public:
  DeltaCursor(const Delta& delta, Family family) : rows_(delta.sorted(family)), at_(rows_.size()) {}
  void seek(std::string_view key) override {
    const auto found = std::lower_bound(
        rows_.begin(), rows_.end(), key,
        [](const StoredRow* row, std::string_view wanted) { return row->key() < wanted; });
    at_ = static_cast<std::size_t>(found - rows_.begin());
  }
  void next() override { ++at_; }
  bool valid() const override { return at_ < rows_.size(); }
  std::string_view key() const override { return rows_[at_]->key(); }
  ByteView value() const override { return rows_[at_]->value(); }
  bool is_tombstone() const override { return rows_[at_]->is_tombstone(); }

 private:
  std::span<const StoredRow* const> rows_;
  std::size_t at_;
};

class MergedCursor final : public Cursor {
 public:
  explicit MergedCursor(std::vector<std::unique_ptr<Cursor>> newest_first)
      : layers_(std::move(newest_first)) {}

  void seek(std::string_view key) override {
    for (const auto& layer : layers_) layer->seek(key);
    find_top();
  }
  void next() override {
    step_over_top();
    find_top();
  }
  bool valid() const override { return top_ != nullptr; }
  std::string_view key() const override { return top_->key(); }
  ByteView value() const override { return top_->value(); }
  Status status() const override { return status_; }

 private:
  // The smallest key, and of equal keys the newest layer's; again while that is a tombstone.
  void find_top() {
    for (;;) {
      top_ = nullptr;
      for (const auto& layer : layers_) {
        if (!layer->valid()) {
          if (const Status status = layer->status(); !status) return fail_with(status);
        } else if (top_ == nullptr || layer->key() < top_->key()) {
          top_ = layer.get();
        }
      }
      if (top_ == nullptr || !top_->is_tombstone()) return;
      step_over_top();
    }
  }
  void step_over_top() {
    passed_.assign(top_->key());
    for (const auto& layer : layers_) {
      if (layer->valid() && layer->key() == passed_) layer->next();
    }
  }
  void fail_with(const Status& status) {
    status_ = status;
    top_ = nullptr;
  }

  std::vector<std::unique_ptr<Cursor>> layers_;
  Cursor* top_ = nullptr;
  std::string passed_;
  Status status_;
};

void merge_family(std::span<const DeltaPtr> deltas, Family family, std::vector<RowPtr>& out) {
  std::vector<std::span<const StoredRow* const>> layers;  // newest first
  for (auto delta = deltas.rbegin(); delta != deltas.rend(); ++delta) {
    layers.push_back((*delta)->sorted(family));
  }
  for (;;) {
    const StoredRow* top = nullptr;
    for (const auto& layer : layers) {
      if (layer.empty()) continue;
      if (top == nullptr || layer.front()->key() < top->key()) top = layer.front();
    }
    if (top == nullptr) return;
    out.push_back(RowPtr::share(top));
    for (auto& layer : layers) {
      if (!layer.empty() && layer.front()->key() == top->key()) layer = layer.subspan(1);
    }
  }
}

RowPtr meta_row(std::string_view key, const std::string& value) {
  return StoredRow::make(make_row_key(Family::kMeta, key), wire::as_bytes(value));
}

}  // namespace

std::unique_ptr<Cursor> merge_cursors(std::span<const DeltaPtr> deltas, const StateReader& store,
                                      Family family) {
  std::vector<std::unique_ptr<Cursor>> layers;
  for (auto delta = deltas.rbegin(); delta != deltas.rend(); ++delta) {
    if (!(*delta)->sorted(family).empty()) {
      layers.push_back(std::make_unique<DeltaCursor>(**delta, family));
    }
  }
  if (layers.empty()) return store.cursor(family);
  layers.push_back(store.cursor(family));
  return std::make_unique<MergedCursor>(std::move(layers));
}

std::vector<RowPtr> merge_deltas(std::span<const DeltaPtr> deltas) {
  std::size_t rows = 0;
  for (const DeltaPtr& delta : deltas) rows += delta->rows();
  std::vector<RowPtr> merged;
  merged.reserve(rows);
  for (const Family family : kFamilies) merge_family(deltas, family, merged);
  return merged;
}

std::vector<RowPtr> meta_rows(const StateMark& mark) {
  std::vector<RowPtr> rows;
  std::string value;
  keys::append_u64(value, mark.applied_index.value());
  keys::append_u64(value, mark.applied_term.value());
  rows.push_back(meta_row(keys::applied(), value));
  for (const Family family : kFamilies) {
    if (family == Family::kMeta) continue;
    const Digest& digest = mark.digests[family_index(family)];
    value.clear();
    keys::append_u64(value, digest.low);
    keys::append_u64(value, digest.high);
    keys::append_u64(value, digest.rows);
    rows.push_back(meta_row(keys::digest(family_name(family)), value));
    value.clear();
    keys::append_u32(value, projection_version(family));
    rows.push_back(meta_row(keys::version(family_name(family)), value));
  }
  std::sort(rows.begin(), rows.end(),
            [](const RowPtr& a, const RowPtr& b) { return a->key() < b->key(); });
  return rows;
}

Status store_deltas(std::span<const DeltaPtr> deltas, Store& store) {
  if (deltas.empty()) return {};
  std::vector<RowPtr> batch = meta_rows(deltas.back()->mark());
  if (BIB_MUTANT(kAppliedIndexApart)) {
    BIB_TRY_VOID(store.write(batch));
    batch.clear();
  }
  std::vector<RowPtr> rows = merge_deltas(deltas);
  batch.insert(batch.end(), std::make_move_iterator(rows.begin()),
               std::make_move_iterator(rows.end()));
  return store.write(batch);
}

}  // namespace bib::projections
