#include "engine/storage/state_damage.h"

#include <algorithm>

#include "engine/storage/snapshot_files.h"

namespace bib::engine {

using wire::Result;
using wire::Status;

Status note_state_damage(FileSystem& files, const InstallPlaces& places, std::string_view what) {
  BIB_TRY(const bool is_there, has_name(files, places.data, wire::kStateName));
  if (!is_there) return {};
  BIB_TRY(const bool is_known, has_name(files, places.state, wire::kStateDamagedName));
  if (is_known) return {};
  const std::string temporary = std::string(wire::kStateDamagedName) + wire::kTemporarySuffix;
  BIB_TRY(const bool is_left, has_name(files, places.state, temporary));
  if (is_left) BIB_TRY_VOID(files.remove(join_path(places.state, temporary)));
  return write_small_file(files, places.state, wire::kStateDamagedName,
                          wire::as_bytes(what.substr(0, wire::kStateDamagedSizeMax)));
}

// A note that cannot be read says enough.
Result<std::optional<std::string>> find_state_damage(FileSystem& files,
                                                     const InstallPlaces& places) {
  BIB_TRY(const bool has_state, has_name(files, places.data, wire::kStateName));
  if (!has_state) return std::nullopt;
  BIB_TRY(const bool is_there, has_name(files, places.state, wire::kStateDamagedName));
  if (!is_there) return std::nullopt;
  const auto what = read_small_file(files, join_path(places.state, wire::kStateDamagedName),
                                    wire::kStateDamagedSizeMax);
  if (!what) return fmt::format("{} are damaged", places.state);
  return std::string(wire::as_text(*what));
}

}  // namespace bib::engine
