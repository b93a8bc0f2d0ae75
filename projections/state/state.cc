#include "projections/state/state.h"

#include <utility>

namespace bib::projections {

using wire::ByteView;
using wire::Result;
using wire::Status;

Status scan(const StateReader& reader, Family family, const ScanRange& range,
            const std::function<bool(std::string_view, ByteView)>& visit) {
  const auto cursor = reader.cursor(family);
  cursor->seek(range.after && *range.after > range.prefix ? *range.after : range.prefix);
  if (range.after && cursor->valid() && cursor->key() == *range.after) cursor->next();
  for (std::size_t count = 0; count < range.limit && cursor->valid(); ++count) {
    if (!cursor->key().starts_with(range.prefix)) break;
    if (!visit(cursor->key(), cursor->value())) break;
    cursor->next();
  }
  return cursor->status();
}

namespace {

class MemoryCursor final : public Cursor {
 public:
  explicit MemoryCursor(std::shared_ptr<const MemoryStore::Rows> rows)
      : rows_(std::move(rows)), at_(rows_->end()) {}
  void seek(std::string_view key) override { at_ = rows_->lower_bound(key); }
  void next() override { ++at_; }
  bool valid() const override { return at_ != rows_->end(); }
  std::string_view key() const override { return at_->first; }
  ByteView value() const override { return at_->second->value(); }

 private:
  std::shared_ptr<const MemoryStore::Rows> rows_;
  MemoryStore::Rows::const_iterator at_;
};

RowPtr find_in(const MemoryStore::Rows& rows, std::string_view key) {
  const auto found = rows.find(key);
  return found == rows.end() ? RowPtr() : found->second;
}

}  // namespace

class MemoryStore::View final : public StateReader {
 public:
  using Families = std::array<std::shared_ptr<const Rows>, kFamilyCount>;
  explicit View(Families families) : families_(std::move(families)) {}

  Result<RowPtr> find(const RowKey& key) const override {
    return find_in(*families_[family_index(key.family)], key.key);
  }
  std::unique_ptr<Cursor> cursor(Family family) const override {
    return std::make_unique<MemoryCursor>(families_[family_index(family)]);
  }

 private:
  Families families_;
};

MemoryStore::MemoryStore() {
  for (FamilyRows& family : families_) family.rows = std::make_shared<Rows>();
}

Result<RowPtr> MemoryStore::find(const RowKey& key) const {
  const std::lock_guard lock(mutex_);
  return find_in(*families_[family_index(key.family)].rows, key.key);
}

std::shared_ptr<const StateReader> MemoryStore::view() const {
  const std::lock_guard lock(mutex_);
  View::Families families;
  for (std::size_t i = 0; i < kFamilyCount; ++i) {
    families_[i].shared = true;
    families[i] = families_[i].rows;
  }
  return std::make_shared<View>(std::move(families));
}

Status MemoryStore::write(std::span<const RowPtr> rows) {
  const std::lock_guard lock(mutex_);
  for (const RowPtr& row : rows) {
    FamilyRows& family = families_[family_index(row->family())];
    if (family.shared) {
      family.rows = std::make_shared<Rows>(*family.rows);
      family.shared = false;
    }
    // Out and in again: the map's key lies in the row.
    family.rows->erase(row->key());
    if (!row->is_tombstone()) family.rows->emplace(row->key(), row);
  }
  return {};
}

std::unique_ptr<MemoryStore> MemoryStore::copy() const {
  auto twin = std::make_unique<MemoryStore>();
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < kFamilyCount; ++i) *twin->families_[i].rows = *families_[i].rows;
  return twin;
}

}  // namespace bib::projections
