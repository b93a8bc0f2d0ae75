// Join tokens: the hashes of the secrets with which a node may join, hidden among the config rows.
#pragma once

#include <cstdint>
#include <optional>

#include "projections/state/state.h"
#include "wire/base/bytes.h"
#include "wire/base/result.h"

namespace bib::projections {

// When the token with this SHA-256 expires (microseconds since 1970); nullopt: never issued. The
// caller compares it with its clock. Any thread that may use `state`.
wire::Result<std::optional<std::int64_t>> find_join_token(const RowReader& state,
                                                          wire::ByteView secret_sha256);

}  // namespace bib::projections
