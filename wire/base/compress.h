// lz4 block compression, for batches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/result.h"

namespace bib::wire {

// Appends the compressed form of `input` to `out` and returns its size, or 0 (and leaves `out` as
// it was) when it would not be at least one eighth smaller than the input.
std::size_t lz4_compress_if_it_pays(ByteView input, std::vector<std::uint8_t>& out);

// Decompresses exactly `size` bytes into `out`; kCorrupt if the input does not yield them.
Status lz4_decompress(ByteView input, std::uint8_t* out, std::size_t size);

}  // namespace bib::wire
