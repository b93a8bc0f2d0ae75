#include "wire/log/snapshot_manifest.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "wire/base/check.h"
#include "wire/base/checksum.h"
#include "wire/base/little_endian.h"

namespace bib::wire {
namespace {

constexpr std::string_view kMagic = "BIBSNAP1";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kChecksumOffset = 88;
constexpr std::size_t kProjectionHeadSize = 32;
constexpr std::size_t kFileHeadSize = 24;
// So no sum of them wraps.
constexpr std::uint64_t kSnapshotFileBytesMax = std::uint64_t{1} << 46;
constexpr std::uint64_t kMembershipSizeMax = 1U << 20;

template <typename... Args>
tl::unexpected<Error> bad_manifest(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kCorrupt, "not a valid snapshot manifest: {}",
              fmt::format(format, std::forward<Args>(args)...));
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

// Appends one item after another, each padded to a multiple of eight.
class Writer {
 public:
  std::uint8_t* grow(std::size_t size) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + round_up(size, 8));
    return bytes_.data() + at;
  }
  std::vector<std::uint8_t> take() { return std::move(bytes_); }
  std::vector<std::uint8_t>& bytes() { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

// Walks over the items; every size is checked against what is left.
class Reader {
 public:
  explicit Reader(ByteView bytes) : rest_(bytes) {}

  bool has(std::uint64_t size) const { return round_up(size, 8) <= rest_.size(); }
  const std::uint8_t* peek() const { return rest_.data(); }
  // Takes `size` bytes and their padding; false when the padding is not zero.
  bool take(std::uint64_t size, ByteView& taken) {
    const std::uint64_t padded = round_up(size, 8);
    taken = rest_.first(size);
    const ByteView padding = rest_.subspan(size, padded - size);
    rest_ = rest_.subspan(padded);
    return std::all_of(padding.begin(), padding.end(), [](std::uint8_t b) { return b == 0; });
  }
  bool at_end() const { return rest_.empty(); }

 private:
  ByteView rest_;
};

Result<SnapshotProjection> read_projection(Reader& reader) {
  if (!reader.has(kProjectionHeadSize)) return bad_manifest("it ends within a projection");
  const std::uint8_t* at = reader.peek();
  SnapshotProjection projection;
  projection.version = load_u32(at);
  const std::uint32_t name_size = load_u32(at + 4);
  projection.rows = load_u64(at + 8);
  projection.digest_low = load_u64(at + 16);
  projection.digest_high = load_u64(at + 24);
  if (name_size == 0 || name_size > kSnapshotNameSizeMax) {
    return bad_manifest("a projection's name of {} bytes", name_size);
  }
  ByteView item;
  if (!reader.has(kProjectionHeadSize + name_size) ||
      !reader.take(kProjectionHeadSize + name_size, item)) {
    return bad_manifest("it ends within a projection's name, or the padding is not zero");
  }
  projection.name = as_text(item.subspan(kProjectionHeadSize));
  if (!std::all_of(projection.name.begin(), projection.name.end(), is_name_character)) {
    return bad_manifest("a projection's name has other characters than letters and digits");
  }
  return projection;
}

Result<SnapshotFile> read_file(Reader& reader) {
  if (!reader.has(kFileHeadSize)) return bad_manifest("it ends within a file");
  const std::uint8_t* at = reader.peek();
  SnapshotFile file;
  file.size = load_u64(at);
  file.checksum = load_u64(at + 8);
  const std::uint32_t name_size = load_u32(at + 16);
  if (name_size > kSnapshotNameSizeMax || load_u32(at + 20) != 0) {
    return bad_manifest("a file's name of {} bytes, or a field that must be zero", name_size);
  }
  if (file.size > kSnapshotFileBytesMax) {
    return bad_manifest("a file of {} bytes, of {} at most", file.size, kSnapshotFileBytesMax);
  }
  ByteView item;
  if (!reader.has(kFileHeadSize + name_size) || !reader.take(kFileHeadSize + name_size, item)) {
    return bad_manifest("it ends within a file's name, or the padding is not zero");
  }
  file.name = as_text(item.subspan(kFileHeadSize));
  if (!is_snapshot_file_name(file.name)) {
    return bad_manifest("a file's name is not one that a snapshot may hold");
  }
  return file;
}

// Length, magic, version, size and checksum.
Status check_frame(ByteView bytes) {
  if (bytes.size() < kSnapshotManifestHeadSize) {
    return bad_manifest("{} bytes are fewer than {}", bytes.size(), kSnapshotManifestHeadSize);
  }
  if (bytes.size() > kSnapshotManifestSizeMax) {
    return bad_manifest("{} bytes are more than {}", bytes.size(), kSnapshotManifestSizeMax);
  }
  if (as_text(bytes.first(kMagic.size())) != kMagic) {
    return bad_manifest("it does not begin with {}", kMagic);
  }
  const std::uint8_t* at = bytes.data();
  if (load_u32(at + 8) != kVersion) {
    return fail(ErrorCode::kUnsupported,
                "a snapshot of version {}; this build knows version {}: use a newer build",
                load_u32(at + 8), kVersion);
  }
  if (load_u32(at + 12) != bytes.size()) {
    return bad_manifest("it says that it has {} bytes, and has {}", load_u32(at + 12),
                        bytes.size());
  }
  std::vector<std::uint8_t> head(at, at + kSnapshotManifestHeadSize);
  store(head.data() + kChecksumOffset, std::uint64_t{0});
  const std::uint64_t computed = checksum64_of_two(head, bytes.subspan(kSnapshotManifestHeadSize));
  if (computed != load_u64(at + kChecksumOffset)) return bad_manifest("its checksum is wrong");
  return {};
}

Status check_numbers(const SnapshotManifest& manifest) {
  if (manifest.cluster.is_none() || manifest.node == NodeId()) {
    return bad_manifest("it names no cluster or no node");
  }
  if (manifest.index == LogIndex() || manifest.term == Term()) {
    return bad_manifest("it names no entry");
  }
  if (manifest.membership_index > manifest.index) {
    return bad_manifest("its membership is of entry {}, after its last one, {}",
                        manifest.membership_index.value(), manifest.index.value());
  }
  return {};
}

}  // namespace

std::uint64_t SnapshotManifest::bytes() const {
  std::uint64_t sum = 0;
  for (const SnapshotFile& file : files) sum += file.size;
  return sum;
}

bool is_snapshot_file_name(std::string_view name) {
  return !name.empty() && name.size() <= kSnapshotNameSizeMax && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), is_name_character);
}

std::vector<std::uint8_t> encode_snapshot_manifest(const SnapshotManifest& manifest) {
  BIB_CHECK(manifest.projections.size() <= kSnapshotProjectionsMax);
  BIB_CHECK(!manifest.files.empty() && manifest.files.size() <= kSnapshotFilesMax);
  const std::vector<std::uint8_t> membership = encode_membership(manifest.membership);
  Writer writer;
  writer.grow(kSnapshotManifestHeadSize);
  for (const SnapshotProjection& projection : manifest.projections) {
    std::uint8_t* at = writer.grow(kProjectionHeadSize + projection.name.size());
    store(at, projection.version);
    store(at + 4, static_cast<std::uint32_t>(projection.name.size()));
    store(at + 8, projection.rows);
    store(at + 16, projection.digest_low);
    store(at + 24, projection.digest_high);
    std::memcpy(at + kProjectionHeadSize, projection.name.data(), projection.name.size());
  }
  for (const SnapshotFile& file : manifest.files) {
    BIB_CHECK(is_snapshot_file_name(file.name), "the file name '{}'", file.name);
    std::uint8_t* at = writer.grow(kFileHeadSize + file.name.size());
    store(at, file.size);
    store(at + 8, file.checksum);
    store(at + 16, static_cast<std::uint32_t>(file.name.size()));
    std::memcpy(at + kFileHeadSize, file.name.data(), file.name.size());
  }
  std::memcpy(writer.grow(membership.size()), membership.data(), membership.size());

  std::vector<std::uint8_t> bytes = writer.take();
  BIB_CHECK(bytes.size() <= kSnapshotManifestSizeMax);
  std::uint8_t* at = bytes.data();
  std::memcpy(at, kMagic.data(), kMagic.size());
  store(at + 8, kVersion);
  store(at + 12, static_cast<std::uint32_t>(bytes.size()));
  std::memcpy(at + 16, manifest.cluster.bytes.data(), manifest.cluster.bytes.size());
  store(at + 32, manifest.node.value());
  store(at + 40, manifest.index.value());
  store(at + 48, manifest.term.value());
  store(at + 56, manifest.created_us);
  store(at + 64, manifest.membership_index.value());
  store(at + 72, static_cast<std::uint32_t>(membership.size()));
  store(at + 76, static_cast<std::uint32_t>(manifest.projections.size()));
  store(at + 80, static_cast<std::uint32_t>(manifest.files.size()));
  store(at + kChecksumOffset, checksum64(bytes));
  return bytes;
}

Result<SnapshotManifest> decode_snapshot_manifest(ByteView bytes) {
  BIB_TRY_VOID(check_frame(bytes));
  const std::uint8_t* at = bytes.data();
  SnapshotManifest manifest;
  std::memcpy(manifest.cluster.bytes.data(), at + 16, manifest.cluster.bytes.size());
  manifest.node = NodeId(load_u64(at + 32));
  manifest.index = LogIndex(load_u64(at + 40));
  manifest.term = Term(load_u64(at + 48));
  manifest.created_us = load_i64(at + 56);
  manifest.membership_index = LogIndex(load_u64(at + 64));
  const std::uint32_t membership_size = load_u32(at + 72);
  const std::uint32_t projections = load_u32(at + 76);
  const std::uint32_t files = load_u32(at + 80);
  if (load_u32(at + 84) != 0) return bad_manifest("a field that must be zero is not");
  BIB_TRY_VOID(check_numbers(manifest));
  if (projections > kSnapshotProjectionsMax || files == 0 || files > kSnapshotFilesMax) {
    return bad_manifest("{} projections and {} files; allowed are {} and 1 to {}", projections,
                        files, kSnapshotProjectionsMax, kSnapshotFilesMax);
  }
  Reader reader(bytes.subspan(kSnapshotManifestHeadSize));
  for (std::uint32_t i = 0; i < projections; ++i) {
    BIB_TRY(SnapshotProjection projection, read_projection(reader));
    manifest.projections.push_back(std::move(projection));
  }
  for (std::uint32_t i = 0; i < files; ++i) {
    BIB_TRY(SnapshotFile file, read_file(reader));
    if (!manifest.files.empty() && file.name <= manifest.files.back().name) {
      return bad_manifest("its files are not in order, or one is named twice");
    }
    manifest.files.push_back(std::move(file));
  }
  ByteView membership;
  if (membership_size == 0 || membership_size > kMembershipSizeMax ||
      !reader.has(membership_size) || !reader.take(membership_size, membership) ||
      !reader.at_end()) {
    return bad_manifest("its membership of {} bytes does not fill it to its end", membership_size);
  }
  auto decoded = decode_membership(membership);
  if (!decoded) return bad_manifest("{}", decoded.error().message);
  manifest.membership = *std::move(decoded);
  return manifest;
}

void SnapshotFileMeasure::add(ByteView piece) {
  checksum_.add(piece);
  size_ += piece.size();
}

Status SnapshotFileMeasure::check(const SnapshotFile& expected) const {
  if (size_ == expected.size && checksum_.value() == expected.checksum) return {};
  return fail(ErrorCode::kCorrupt,
              "{} bytes with checksum {:016x}; the manifest says {} with {:016x}", size_,
              checksum_.value(), expected.size, expected.checksum);
}

std::string snapshot_name(LogIndex index, Term term) {
  return fmt::format("{}-{}", index.value(), term.value());
}

std::optional<LogPosition> parse_snapshot_name(std::string_view name) {
  const char* end = name.data() + name.size();
  std::uint64_t index = 0;
  std::uint64_t term = 0;
  const auto first = std::from_chars(name.data(), end, index);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, term);
  if (second.ec != std::errc() || second.ptr != end) return std::nullopt;
  const LogPosition place{LogIndex(index), Term(term)};
  if (index == 0 || term == 0 || snapshot_name(place.index, place.term) != name) {
    return std::nullopt;
  }
  return place;
}

}  // namespace bib::wire
