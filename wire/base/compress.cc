#include "wire/base/compress.h"

#include <lz4.h>

namespace bib::wire {

std::size_t lz4_compress_if_it_pays(ByteView input, std::vector<std::uint8_t>& out) {
  if (input.size() > LZ4_MAX_INPUT_SIZE) return 0;
  // lz4 gives up as soon as the output does not fit.
  const std::size_t room = input.size() - (input.size() + 7) / 8;
  if (room == 0) return 0;
  const std::size_t begin = out.size();
  out.resize(begin + room);
  const int written = LZ4_compress_default(reinterpret_cast<const char*>(input.data()),
                                           reinterpret_cast<char*>(out.data() + begin),
                                           static_cast<int>(input.size()), static_cast<int>(room));
  const std::size_t size = written > 0 ? static_cast<std::size_t>(written) : 0;
  out.resize(begin + size);
  return size;
}

Status lz4_decompress(ByteView input, std::uint8_t* out, std::size_t size) {
  if (input.size() > LZ4_MAX_INPUT_SIZE || size > LZ4_MAX_INPUT_SIZE) {
    return fail(ErrorCode::kCorrupt, "an lz4 block of {} bytes for {} is beyond the format's limit",
                input.size(), size);
  }
  const int written =
      LZ4_decompress_safe(reinterpret_cast<const char*>(input.data()), reinterpret_cast<char*>(out),
                          static_cast<int>(input.size()), static_cast<int>(size));
  if (written < 0 || static_cast<std::size_t>(written) != size) {
    return fail(ErrorCode::kCorrupt, "{} bytes of lz4 do not decompress to {} bytes", input.size(),
                size);
  }
  return {};
}

}  // namespace bib::wire
