// How a log store lets go of its oldest segments.
#include <utility>

#include "engine/storage/log_store.h"
#include "wire/base/check.h"

namespace bib::engine {

using wire::LogIndex;
using wire::LogPosition;
using wire::Status;

// The last segment at whose beginning the log stood at or below `index` and, up to there, as it
// stands now: nothing from this segment on reaches back before its beginning. As an index of
// starts_.
std::size_t LogStore::first_needed_segment(LogIndex index) const {
  const LogPosition base = locations_->base();
  for (std::size_t i = starts_.size(); i-- > 1;) {
    const LogPosition& previous = starts_[i].previous;
    if (previous.index > index || previous.index < base.index) continue;
    if (previous.index == LogIndex()) continue;
    if (previous.index == base.index) {
      if (previous == base) return i;
      continue;
    }
    const auto location = locations_->find(previous.index);
    if (location && location->term == previous.term && location->segment < starts_[i].number) {
      return i;
    }
  }
  return 0;
}

wire::Result<RetiredSegments> LogStore::compact_to(LogIndex index) {
  if (failure_) return tl::unexpected(*failure_);
  BIB_CHECK(!unsynced_ && builder_->record_count() == 0 && changes_.empty());
  BIB_CHECK(index <= last_.index, "compaction to {} of a log that ends at {}", index.value(),
            last_.index.value());
  RetiredSegments retired{locations_->base(), {}};
  const std::size_t first = index < retired.base.index ? 0 : first_needed_segment(index);
  if (first == 0) return retired;
  const SegmentStart start = starts_[first];
  BIB_TRY_VOID(fail_with(write_log_start({.log_id = identity_.log_id,
                                          .first_segment = start.number,
                                          .previous_index = start.previous.index,
                                          .previous_term = start.previous.term})));
  for (std::size_t i = 0; i < first; ++i) {
    retired.paths.push_back(join_path(directory_, wire::segment_file_name(starts_[i].number)));
  }
  retired.base = start.previous;
  starts_.erase(starts_.begin(), starts_.begin() + static_cast<std::ptrdiff_t>(first));
  // As the segment's header has it: the latest membership before its beginning.
  while (memberships_.size() > 1 && memberships_[1].index <= retired.base.index) {
    memberships_.erase(memberships_.begin());
  }
  locations_->compact_to(retired.base.index);
  return retired;
}

// Durable before any segment goes: else those that are missing would be taken for damage.
Status LogStore::write_log_start(const wire::LogStart& start) {
  const std::string path = join_path(directory_, wire::kLogStartFileName);
  const std::string temporary = path + wire::kTemporarySuffix;
  {
    BIB_TRY(auto file, files_.open(temporary, {.mode = OpenMode::kCreate, .direct = false}));
    BIB_TRY_VOID(file->write(0, wire::encode_log_start(start)));
    BIB_TRY_VOID(file->sync());
  }
  BIB_TRY_VOID(files_.rename(temporary, path));
  return files_.sync_directory(directory_);
}

Status retire_segments(FileSystem& files, const std::string& directory,
                       const RetiredSegments& retired) {
  // Whoever was short of space may have removed them by hand: the log begins after them already.
  for (const std::string& path : retired.paths) BIB_TRY_VOID(remove_if_there(files, path));
  return retired.paths.empty() ? Status{} : files.sync_directory(directory);
}

}  // namespace bib::engine
