#include "engine/storage/log_segment.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "wire/base/check.h"
#include "wire/base/mutant.h"

namespace bib::engine {

using wire::ByteView;
using wire::Result;
using wire::Status;

namespace {

constexpr std::uint64_t kZerosAtOnce = 1U << 20;

Status write_zeros(File& file, std::uint64_t from, std::uint64_t to) {
  const AlignedBuffer zeros(std::min(to - from, kZerosAtOnce));
  while (from < to) {
    const std::uint64_t count = std::min<std::uint64_t>(to - from, zeros.size());
    BIB_TRY_VOID(file.write(from, zeros.view().first(count)));
    from += count;
  }
  return {};
}

Result<std::unique_ptr<File>> fill(const SegmentRequest& request, const std::string& path) {
  BIB_TRY(auto file, request.files->open(path, {.mode = OpenMode::kCreate, .direct = true}));
  BIB_TRY_VOID(file->allocate(request.bytes));
  // Reserved space still costs metadata at its first write; written zeros do not.
  BIB_TRY_VOID(write_zeros(*file, 0, request.bytes));
  BIB_TRY_VOID(file->sync());
  return file;
}

}  // namespace

Result<PreparedSegment> prepare_segment(const SegmentRequest& request) {
  const std::string path = join_path(request.directory, request.temporary_name);
  auto file = fill(request, path);
  if (!file) {
    static_cast<void>(request.files->remove(path));  // the first error is the one to tell
    return tl::unexpected(std::move(file).error());
  }
  return PreparedSegment{*std::move(file), path, request.bytes};
}

LogSegment::LogSegment(std::unique_ptr<File> file, std::string path,
                       const wire::SegmentHeader& header, std::uint64_t end_offset,
                       std::uint64_t bytes)
    : file_(std::move(file)),
      path_(std::move(path)),
      number_(header.number),
      alignment_(header.alignment),
      end_offset_(end_offset),
      bytes_(bytes) {}

Result<std::unique_ptr<LogSegment>> LogSegment::create(FileSystem& files,
                                                       const std::string& directory,
                                                       PreparedSegment prepared,
                                                       const wire::SegmentHeader& header) {
  const std::vector<std::uint8_t> encoded = wire::encode_segment_header(header);
  BIB_CHECK(encoded.size() % header.alignment == 0);
  BIB_CHECK(encoded.size() + header.alignment <= prepared.bytes, "segment too small");
  AlignedBuffer aligned(encoded.size());
  std::memcpy(aligned.data(), encoded.data(), encoded.size());
  BIB_TRY_VOID(prepared.file->write(0, aligned.view()));
  BIB_TRY_VOID(prepared.file->sync());
  std::string path = join_path(directory, wire::segment_file_name(header.number));
  BIB_TRY_VOID(files.rename(prepared.path, path));
  if (!BIB_MUTANT(kNoDirectorySync)) BIB_TRY_VOID(files.sync_directory(directory));
  return std::unique_ptr<LogSegment>(new LogSegment(std::move(prepared.file), std::move(path),
                                                    header, encoded.size(), prepared.bytes));
}

Result<std::unique_ptr<LogSegment>> LogSegment::reopen(FileSystem& files,
                                                       const std::string& directory,
                                                       const wire::SegmentHeader& header,
                                                       std::uint64_t end_offset,
                                                       std::uint64_t bytes) {
  std::string path = join_path(directory, wire::segment_file_name(header.number));
  BIB_TRY(auto file, files.open(path, {.mode = OpenMode::kReadWrite, .direct = true}));
  if (file->direct_alignment() > header.alignment) {
    // The log came from a disk with smaller sectors.
    BIB_TRY(file, files.open(path, {.mode = OpenMode::kReadWrite, .direct = false}));
  }
  return std::unique_ptr<LogSegment>(
      new LogSegment(std::move(file), std::move(path), header, end_offset, bytes));
}

std::uint64_t LogSegment::room() const {
  const std::uint64_t used = end_offset_ + alignment_;
  return used >= bytes_ ? 0 : bytes_ - used;
}

void LogSegment::check_fits(ByteView block) const {
  BIB_CHECK(block.size() % alignment_ == 0 && end_offset_ + block.size() <= bytes_,
            "block of {} bytes at {} in a segment of {}", block.size(), end_offset_, bytes_);
}

Status LogSegment::append(ByteView block) {
  BIB_TRY_VOID(write_at_end(block));
  end_offset_ += block.size();
  return {};
}

Status LogSegment::append_durably(ByteView block) {
  check_fits(block);
  Status written = file_->write_durably(end_offset_, block);
  if (!written && BIB_MUTANT(kRetriesFailedSync)) written = file_->sync();
  BIB_TRY_VOID(written);
  end_offset_ += block.size();
  return {};
}

Status LogSegment::write_at_end(ByteView block) {
  check_fits(block);
  return file_->write(end_offset_, block);
}

Status LogSegment::clear_to(std::uint64_t end) {
  end = std::min((end + alignment_ - 1) / alignment_ * alignment_, bytes_);
  return end > end_offset_ ? write_zeros(*file_, end_offset_, end) : Status{};
}

}  // namespace bib::engine
