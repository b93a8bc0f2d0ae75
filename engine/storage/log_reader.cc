#include "engine/storage/log_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "wire/log/data_directory.h"
#include "wire/log/entry.h"
#include "wire/log/log_format.h"

namespace bib::engine {

using wire::Bytes;
using wire::ErrorCode;
using wire::LogIndex;
using wire::Result;
using wire::Status;

namespace {

constexpr std::uint64_t kReadMax = 4U << 20;
// Between neighbours lie block headers and padding; across a larger gap (a truncated stretch) it is
// cheaper to read twice.
constexpr std::uint64_t kGapMax = 64U << 10;

Status check_entry(const Bytes& entry, const EntryLocation& expected, const std::string& path) {
  const auto header = wire::verify_entry(entry.view());
  std::string what;
  if (!header) {
    what = header.error().message;
  } else if (header->index != expected.index || header->term != expected.term) {
    what = fmt::format("it holds entry {} of term {}", header->index.value(), header->term.value());
  } else if (header->size != expected.size) {
    what = fmt::format("it is {} bytes long, not {}", header->size, expected.size);
  } else {
    return {};
  }
  return wire::fail(
      ErrorCode::kCorrupt,
      "the log is damaged: {} at offset {} should hold entry {} of term {}, but: {}. See "
      "'raft-inspect verify' on this directory for details. To restore the node from the others, "
      "stop it, {}",
      path, expected.offset, expected.index.value(), expected.term.value(), what,
      wire::kHowToReplace);
}

// How many of the run's entries are worth one read.
std::size_t neighbours(std::span<const EntryLocation> run) {
  std::size_t count = 1;
  while (count < run.size()) {
    const std::uint64_t end = run[count - 1].offset + run[count - 1].size;
    if (run[count].offset < end || run[count].offset - end > kGapMax) break;
    if (run[count].offset + run[count].size - run.front().offset > kReadMax) break;
    ++count;
  }
  return count;
}

std::uint64_t size_of(std::span<const EntryLocation> part) {
  std::uint64_t size = 0;
  for (const EntryLocation& location : part) size += location.size;
  return size;
}

// One buffer for the entries of a stretch of the file that begins with the first of them.
void slice(const Bytes& stretch, std::span<const EntryLocation> part, std::vector<Bytes>& entries) {
  const std::uint64_t start = part.front().offset;
  if (stretch.size() <= 2 * size_of(part)) {
    for (const EntryLocation& location : part) {
      entries.push_back(stretch.slice(location.offset - start, location.size));
    }
    return;
  }
  // Mostly padding, which is not worth keeping in memory.
  Bytes::Builder builder(size_of(part));
  std::size_t end = 0;
  for (const EntryLocation& location : part) {
    std::memcpy(builder.data() + end, stretch.data() + (location.offset - start), location.size);
    end += location.size;
  }
  const Bytes packed(std::move(builder));
  end = 0;
  for (const EntryLocation& location : part) {
    entries.push_back(packed.slice(end, location.size));
    end += location.size;
  }
}

}  // namespace

LogReader::LogReader(FileSystem& files, std::string directory,
                     std::shared_ptr<const LogLocations> locations)
    : files_(files), directory_(std::move(directory)), locations_(std::move(locations)) {}

Result<std::vector<Bytes>> LogReader::read(LogIndex first, LogIndex last, std::uint64_t bytes_max) {
  std::vector<Bytes> entries;
  LogIndex next = first;
  while (next <= last && (entries.empty() || bytes_max > 0)) {
    const auto run = locations_->find_run(next, last, bytes_max);
    if (run.empty()) break;
    // The first entry of a later run must keep to the limit as well.
    if (!entries.empty() && run.front().size > bytes_max) break;
    BIB_TRY_VOID(read_run(run, entries));
    for (const EntryLocation& location : run) {
      bytes_max -= std::min<std::uint64_t>(bytes_max, location.size);
    }
    next = run.back().index + 1;
  }
  if (entries.empty() && first <= last) return not_here(first);
  return entries;
}

tl::unexpected<wire::Error> LogReader::not_here(LogIndex first) const {
  return wire::fail(ErrorCode::kNotFound, "entry {} is not in the log, which holds {} to {}",
                    first.value(), locations_->base().index.value() + 1,
                    locations_->last().index.value());
}

Status LogReader::read_run(std::span<const EntryLocation> run, std::vector<Bytes>& entries) {
  const std::uint64_t segment = run.front().segment;
  const std::string path = join_path(directory_, wire::segment_file_name(segment));
  const auto opened = file_of(segment);
  if (!opened) {
    // Gone since it was looked up: compacted, or replaced by a snapshot.
    const auto now = locations_->find(run.front().index);
    if (!now || now->segment != segment) return not_here(run.front().index);
  }
  BIB_TRY(const std::shared_ptr<File> file, opened);
  while (!run.empty()) {
    const auto part = run.first(neighbours(run));
    const std::uint64_t start = part.front().offset;
    const std::uint64_t end = part.back().offset + part.back().size;
    Bytes::Builder buffer(end - start);
    BIB_TRY(const std::size_t count, file->read(start, std::span(buffer.data(), buffer.size())));
    if (count < buffer.size()) {
      return wire::fail(ErrorCode::kCorrupt, "{} ends at {}, but should hold entry {} up to {}",
                        path, start + count, part.back().index.value(), end);
    }
    const std::size_t before = entries.size();
    slice(Bytes(std::move(buffer)), part, entries);
    for (std::size_t i = 0; i < part.size(); ++i) {
      BIB_TRY_VOID(check_entry(entries[before + i], part[i], path));
    }
    run = run.subspan(part.size());
  }
  return {};
}

Result<std::shared_ptr<File>> LogReader::file_of(std::uint64_t segment) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(open_.begin(), open_.end(), [&](const OpenSegment& candidate) {
    return candidate.number == segment;
  });
  if (found != open_.end()) {
    open_.splice(open_.begin(), open_, found);
    return open_.front().file;
  }
  const std::string path = join_path(directory_, wire::segment_file_name(segment));
  BIB_TRY(auto file, files_.open(path, {.mode = OpenMode::kRead, .direct = false}));
  // An open file keeps its space on the disk although its name is gone.
  const auto first = locations_->first_segment();
  open_.remove_if([&](const OpenSegment& open) { return first && open.number < *first; });
  open_.push_front({segment, std::move(file)});
  if (open_.size() > kFilesOpenMax) open_.pop_back();
  return open_.front().file;
}

}  // namespace bib::engine
