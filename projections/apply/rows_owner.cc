#include "projections/apply/rows_owner.h"

#include <algorithm>
#include <span>
#include <string>

#include "projections/state/keys.h"
#include "wire/base/mutant.h"

namespace bib::projections {

using wire::ErrorCode;
using wire::Result;
using wire::RowsOwner;
using wire::Status;

Result<std::optional<RowsOwner>> read_owner(const RowReader& store) {
  BIB_TRY(const RowPtr row, store.find(Family::kMeta, keys::owner()));
  if (!row) return std::nullopt;
  RowsOwner owner;
  const std::size_t id_size = owner.cluster.bytes.size();
  if (row->value().size() != id_size + 8) {
    return wire::fail(ErrorCode::kCorrupt, "The state's row '{}' has {} bytes, not {}: rebuild it.",
                      keys::owner(), row->value().size(), id_size + 8);
  }
  std::copy_n(row->value().begin(), id_size, owner.cluster.bytes.begin());
  owner.log_id = keys::read_u64(row->value(), id_size);
  return owner;
}

Status write_owner(const RowsOwner& owner, Store& store) {
  std::string value(owner.cluster.bytes.begin(), owner.cluster.bytes.end());
  keys::append_u64(value, owner.log_id);
  const RowPtr row =
      StoredRow::make(make_row_key(Family::kMeta, keys::owner()), wire::as_bytes(value));
  return store.write(std::span<const RowPtr>(&row, 1));
}

Status adopt_rows(DurableStore& store, const RowsOwner& owner) {
  BIB_TRY(const auto found, read_owner(store));
  if (found && found->cluster != owner.cluster) {
    return wire::fail(ErrorCode::kCorrupt, "the snapshot's rows are those of another cluster, {}",
                      to_string(found->cluster));
  }
  if (found == owner || BIB_MUTANT(kKeepsMakersRows)) return {};
  BIB_TRY_VOID(write_owner(owner, store));
  return BIB_MUTANT(kAdoptsUnsynced) ? Status{} : store.flush();
}

}  // namespace bib::projections
