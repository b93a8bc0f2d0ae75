// What a snapshot is made of and sent as: its manifest, as it comes and with a checksum that fits,
// and the messages that carry its parts.
#include "checksums.h"
#include "wire/base/check.h"
#include "wire/log/snapshot_manifest.h"
#include "wire/peer/snapshot_message.h"

using namespace bib::wire;

namespace {

constexpr std::size_t kManifestChecksumOffset = 88;

void decode(ByteView bytes) {
  const auto manifest = decode_snapshot_manifest(bytes);
  if (!manifest) return;
  for (const SnapshotFile& file : manifest->files) BIB_CHECK(is_snapshot_file_name(file.name));
  BIB_CHECK(decode_snapshot_manifest(encode_snapshot_manifest(*manifest)) == *manifest);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  decode(bytes);
  std::vector<std::uint8_t> fixed(bytes.begin(), bytes.end());
  fix_checksum(fixed.data(), size, kManifestChecksumOffset, size);
  decode(fixed);
  (void)decode_snapshot_request(bytes);
  (void)decode_snapshot_part(Bytes::copy_of(bytes));
  return 0;
}
