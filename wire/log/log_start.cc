#include "wire/log/log_start.h"

#include <cstring>
#include <string_view>

#include "wire/base/check.h"
#include "wire/base/checksum.h"
#include "wire/base/little_endian.h"

namespace bib::wire {
namespace {

constexpr std::string_view kMagic = "BIBLOGST";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kChecksumOffset = 56;

template <typename... Args>
tl::unexpected<Error> bad_start(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kCorrupt, "not a valid note of the log's start: {}",
              fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace

std::vector<std::uint8_t> encode_log_start(const LogStart& start) {
  BIB_CHECK(start.first_segment >= 2 && start.previous_index != LogIndex());
  std::vector<std::uint8_t> bytes(kLogStartSize);
  std::uint8_t* at = bytes.data();
  std::memcpy(at, kMagic.data(), kMagic.size());
  store(at + 8, kVersion);
  store(at + 16, start.log_id);
  store(at + 24, start.first_segment);
  store(at + 32, start.previous_index.value());
  store(at + 40, start.previous_term.value());
  store(at + kChecksumOffset, checksum64(ByteView(bytes).first(kChecksumOffset)));
  return bytes;
}

Result<LogStart> decode_log_start(ByteView bytes) {
  if (bytes.size() != kLogStartSize) {
    return bad_start("{} bytes, not {}", bytes.size(), kLogStartSize);
  }
  if (as_text(bytes.first(kMagic.size())) != kMagic) {
    return bad_start("it does not begin with {}", kMagic);
  }
  const std::uint8_t* at = bytes.data();
  if (load_u32(at + 8) != kVersion) {
    return fail(ErrorCode::kUnsupported,
                "a note of the log's start of version {}; this build knows version {}: use a newer "
                "build",
                load_u32(at + 8), kVersion);
  }
  if (load_u64(at + kChecksumOffset) != checksum64(bytes.first(kChecksumOffset))) {
    return bad_start("its checksum is wrong");
  }
  const LogStart start{.log_id = load_u64(at + 16),
                       .first_segment = load_u64(at + 24),
                       .previous_index = LogIndex(load_u64(at + 32)),
                       .previous_term = Term(load_u64(at + 40))};
  if (load_u32(at + 12) != 0 || load_u64(at + 48) != 0 || start.first_segment < 2 ||
      start.previous_index == LogIndex() || start.previous_term == Term()) {
    return bad_start("a field has a value that it cannot have");
  }
  return start;
}

}  // namespace bib::wire
