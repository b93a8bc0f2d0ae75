#include "projections/apply/replay.h"

#include <memory>
#include <string>
#include <utility>

#include "projections/rules/projection.h"
#include "projections/state/keys.h"

namespace bib::projections {

using wire::ErrorCode;
using wire::fail;
using wire::Result;
using wire::Status;

namespace {

Status write_behind(Projector& projector, Store& store) {
  const auto deltas = projector.take_for_store();
  if (deltas.empty()) return {};
  BIB_TRY_VOID(store_deltas(deltas, store));
  projector.written(deltas.back()->mark().applied_index);
  return {};
}

// A meta row of exactly this size, or null.
Result<RowPtr> find_meta(const RowReader& store, std::string_view key, std::size_t size) {
  BIB_TRY(RowPtr row, store.find(Family::kMeta, key));
  if (row && row->value().size() != size) {
    return fail(ErrorCode::kCorrupt,
                "The state's row '{}' has {} bytes, not {}: rebuild the state.", key,
                row->value().size(), size);
  }
  return row;
}

Status check_version(const RowReader& store, Family family) {
  const std::string_view name = family_name(family);
  BIB_TRY(const RowPtr row, find_meta(store, keys::version(name), 4));
  const std::uint32_t found = row ? keys::read_u32(row->value(), 0) : 0;
  if (found == projection_version(family)) return {};
  return fail(
      ErrorCode::kUnsupported,
      "The state's rows of '{}' are of version {}, this program writes version {}. Stop the "
      "node, remove its state directory and start it again: it rebuilds the state from the "
      "log.",
      name, found, projection_version(family));
}

}  // namespace

Result<StateMark> replay(const EntrySource& next, Store& store, std::optional<wire::LogIndex> until,
                         std::size_t write_bytes) {
  BIB_TRY(const auto projector, Projector::open(store));
  while (!until || projector->applied_index() < *until) {
    BIB_TRY(const auto entry, next());
    if (!entry) break;
    BIB_TRY_VOID(projector->apply(*entry).map([](const Applied&) {}));
    if (projector->sizes().active_bytes >= write_bytes) {
      BIB_TRY_VOID(write_behind(*projector, store));
    }
  }
  BIB_TRY_VOID(write_behind(*projector, store));
  return projector->mark();
}

Result<StateMark> read_mark(const RowReader& store) {
  BIB_TRY(const RowPtr applied, find_meta(store, keys::applied(), 16));
  StateMark mark;
  if (!applied) return mark;
  mark.applied_index = wire::LogIndex(keys::read_u64(applied->value(), 0));
  mark.applied_term = wire::Term(keys::read_u64(applied->value(), 8));
  for (const Family family : kFamilies) {
    if (family == Family::kMeta) continue;
    BIB_TRY_VOID(check_version(store, family));
    BIB_TRY(const RowPtr row, find_meta(store, keys::digest(family_name(family)), 24));
    if (!row) {
      return fail(ErrorCode::kCorrupt, "The state has no digest of '{}': rebuild the state.",
                  family_name(family));
    }
    mark.digests[family_index(family)] = {keys::read_u64(row->value(), 0),
                                          keys::read_u64(row->value(), 8),
                                          keys::read_u64(row->value(), 16)};
  }
  return mark;
}

Result<DigestSet> compute_digests(const StateReader& state) {
  DigestSet digests{};
  for (const Family family : kFamilies) {
    if (family == Family::kMeta) continue;
    Digest& digest = digests[family_index(family)];
    const auto visit = [&](std::string_view key, wire::ByteView value) {
      digest.add(StoredRow::make(make_row_key(family, key), value)->digest());
      return true;
    };
    BIB_TRY_VOID(scan(state, family, {}, visit));
  }
  return digests;
}

Result<StateMark> verify_state(const StateReader& state) {
  BIB_TRY(const StateMark mark, read_mark(state));
  BIB_TRY(const DigestSet digests, compute_digests(state));
  for (const Family family : kFamilies) {
    const Digest& stored = mark.digests[family_index(family)];
    const Digest& found = digests[family_index(family)];
    if (stored == found) continue;
    return fail(ErrorCode::kCorrupt,
                "The rows of '{}' at index {} have digest {} ({} rows), but it should be {} ({} "
                "rows): the state is damaged. Rebuild it from the log or a snapshot.",
                family_name(family), mark.applied_index.value(), to_string(found), found.rows,
                to_string(stored), stored.rows);
  }
  return mark;
}

}  // namespace bib::projections
