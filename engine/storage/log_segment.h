// LogSegment: one segment's file: created, pre-written, appended to.
//
// Owned by LogStore, on the log thread; prepare_segment() may run on any thread. A segment's file
// appears under its name only when its whole content is durable: zeros up to its size, and the
// header. Until then it is a temporary file that recovery removes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/ports/file.h"
#include "wire/base/result.h"
#include "wire/log/log_format.h"

namespace bib::engine {

struct SegmentRequest {
  FileSystem* files = nullptr;
  std::string directory;
  std::string temporary_name;
  std::uint64_t bytes = 0;
};

// A file of zeros, written and synced, that has no segment's name yet.
struct PreparedSegment {
  std::unique_ptr<File> file;
  std::string path;
  std::uint64_t bytes = 0;
};

// Removes what it has begun when it fails.
wire::Result<PreparedSegment> prepare_segment(const SegmentRequest& request);

class LogSegment {
 public:
  // Writes the header and gives the file its name; durable when it returns.
  static wire::Result<std::unique_ptr<LogSegment>> create(FileSystem& files,
                                                          const std::string& directory,
                                                          PreparedSegment prepared,
                                                          const wire::SegmentHeader& header);
  // An existing one, to continue at `end_offset`.
  static wire::Result<std::unique_ptr<LogSegment>> reopen(FileSystem& files,
                                                          const std::string& directory,
                                                          const wire::SegmentHeader& header,
                                                          std::uint64_t end_offset,
                                                          std::uint64_t bytes);

  std::uint64_t number() const { return number_; }
  std::uint32_t alignment() const { return alignment_; }
  std::uint64_t end_offset() const { return end_offset_; }
  // Bytes for one more block, with the seal's block kept free.
  std::uint64_t room() const;

  wire::Status append(wire::ByteView block);
  // The block is durable when it returns; earlier ones need their own sync().
  wire::Status append_durably(wire::ByteView block);
  // Writes after the end and does not move it: the next append overwrites it.
  wire::Status write_at_end(wire::ByteView block);
  // Overwrites [end_offset, end) with zeros; not synced.
  wire::Status clear_to(std::uint64_t end);
  wire::Status sync() { return file_->sync(); }

 private:
  LogSegment(std::unique_ptr<File> file, std::string path, const wire::SegmentHeader& header,
             std::uint64_t end_offset, std::uint64_t bytes);

  void check_fits(wire::ByteView block) const;

  std::unique_ptr<File> file_;
  std::string path_;
  std::uint64_t number_;
  std::uint32_t alignment_;
  std::uint64_t end_offset_;
  std::uint64_t bytes_;
};

}  // namespace bib::engine
