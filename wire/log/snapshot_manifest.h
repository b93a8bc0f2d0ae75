// Snapshot manifest: what a snapshot is, and how it proves itself.
//
// A snapshot is a directory with a manifest and the files of a RocksDB checkpoint. The manifest
// names the last entry that the state includes, the membership there, each projection's version,
// digest and rows, and each file with its size and checksum. Little-endian; docs/log-format.md has
// every byte of it.
//
//   offset size  field
//        0    8  magic "BIBSNAP1"
//        8    4  version, 1
//       12    4  size of the manifest
//       16   16  cluster id
//       32    8  id of the node that made it
//       40    8  index of the last entry
//       48    8  that entry's term
//       56    8  created, microseconds since 1970-01-01 UTC
//       64    8  index of the membership's entry, at most the last entry's
//       72    4  membership's size (peer.fbs), not 0
//       76    4  count of projections
//       80    4  count of files, not 0
//       84    4  zero
//       88    8  xxh3-64 over the whole manifest with this field taken as zero
//       96   ..  projections, files, membership; each item padded with zeros to 8 bytes
//
// Projection:  0 u32 version; 4 u32 size of the name; 8 u64 rows; 16 u64 digest, low half; 24 u64
//              digest, high half; 32 the name
// File:        0 u64 size; 8 u64 xxh3-64; 16 u32 size of the name; 20 u32 zero; 24 the name
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/checksum.h"
#include "wire/base/ids.h"
#include "wire/base/membership.h"
#include "wire/base/result.h"

namespace bib::wire {

inline constexpr std::uint32_t kSnapshotManifestHeadSize = 96;
inline constexpr std::uint32_t kSnapshotManifestSizeMax = 16U << 20;
inline constexpr std::size_t kSnapshotFilesMax = 65536;
inline constexpr std::size_t kSnapshotProjectionsMax = 256;
inline constexpr std::size_t kSnapshotNameSizeMax = 128;

struct SnapshotProjection {
  std::string name;
  std::uint32_t version = 0;
  std::uint64_t rows = 0;
  std::uint64_t digest_low = 0;
  std::uint64_t digest_high = 0;

  bool operator==(const SnapshotProjection&) const = default;
};

struct SnapshotFile {
  std::string name;  // is_snapshot_file_name()
  std::uint64_t size = 0;
  std::uint64_t checksum = 0;  // xxh3-64 of the content

  bool operator==(const SnapshotFile&) const = default;
};

struct SnapshotManifest {
  ClusterId cluster;
  NodeId node;
  LogIndex index;
  Term term;
  std::int64_t created_us = 0;
  LogIndex membership_index;
  Membership membership;
  std::vector<SnapshotProjection> projections;
  std::vector<SnapshotFile> files;  // by name, ascending, without repeats

  bool operator==(const SnapshotManifest&) const = default;
  // The last entry that the state includes.
  LogPosition position() const { return {index, term}; }
  // The bytes of all files together.
  std::uint64_t bytes() const;
};

// Measures a snapshot's file, which is added piece by piece, and compares it with what the manifest
// says of it.
class SnapshotFileMeasure {
 public:
  void add(ByteView piece);
  // The file as it would be named in a manifest.
  SnapshotFile file(std::string name) const { return {std::move(name), size_, checksum_.value()}; }
  // kCorrupt: both sizes and checksums.
  Status check(const SnapshotFile& expected) const;

 private:
  std::uint64_t size_ = 0;
  StreamChecksum checksum_;
};

// Letters, digits, '.', '-' and '_', not beginning with '.': one name in one directory, whatever it
// is joined with.
bool is_snapshot_file_name(std::string_view name);

// The manifest must keep to the limits and to the order of its files.
std::vector<std::uint8_t> encode_snapshot_manifest(const SnapshotManifest& manifest);
// `bytes` is the whole manifest and nothing else. Checked before anything is believed: length,
// magic, version, checksum, then each field. kUnsupported: another version. kCorrupt: all else.
Result<SnapshotManifest> decode_snapshot_manifest(ByteView bytes);

// "<index>-<term>", the name of a snapshot's directory; and back.
std::string snapshot_name(LogIndex index, Term term);
std::optional<LogPosition> parse_snapshot_name(std::string_view name);

}  // namespace bib::wire
