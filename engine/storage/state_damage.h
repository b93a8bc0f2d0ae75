// State damage: the note that the rows in state/ must not be used any more, from the run that found
// it out to the next start, which restores them (state_recovery.h).
//
// It lies in the directory that it is about, and goes with it. Functions that block.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/ports/file.h"
#include "engine/storage/state_install.h"
#include "wire/base/result.h"

namespace bib::engine {

// Durable when it returns. Nothing where there is no state.
wire::Status note_state_damage(FileSystem& files, const InstallPlaces& places,
                               std::string_view what);
// What was noted.
wire::Result<std::optional<std::string>> find_state_damage(FileSystem& files,
                                                           const InstallPlaces& places);

}  // namespace bib::engine
