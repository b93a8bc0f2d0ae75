#include "projections/state/rocks_report.h"

#include <rocksdb/env.h>
#include <rocksdb/status.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <utility>

namespace bib::projections {

using wire::ErrorCode;
using wire::fail;

namespace {

constexpr std::size_t kLineMax = 1024;  // bytes; the rest of a longer line is left out

// Each snapshot causes it: what RocksDB keeps a count of for that is within what we keep it for.
constexpr std::string_view kNoNews = "File Deletions ";

bool says(const std::string& text, int error_number) {
  return text.find(::strerrordesc_np(error_number)) != std::string::npos;
}

// RocksDB tells a full disk apart; of other errors of the system it keeps the text.
std::string_view advice_for(const rocksdb::Status& status, const std::string& text) {
  if (lacks_room(status)) {
    return "Free space on that disk, then start the node again: nothing is lost.";
  }
  if (says(text, EACCES) || says(text, EPERM)) {
    return "Give the directory and all files in it to the node's user, then start the node again: "
           "nothing is damaged.";
  }
  if (says(text, EROFS)) {
    return "Mount that disk for writing, then start the node again: nothing is damaged.";
  }
  return "Check the disk's health (the kernel's log), then start the node again.";
}

class RocksLog final : public rocksdb::Logger {
 public:
  explicit RocksLog(std::function<void(const std::string&)> on_line)
      : Logger(rocksdb::WARN_LEVEL), on_line_(std::move(on_line)) {}

  using Logger::Logv;
  void Logv(rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < rocksdb::WARN_LEVEL || level > rocksdb::FATAL_LEVEL) return;
    std::array<char, kLineMax> line{};
    std::vsnprintf(line.data(), line.size(), format, arguments);
    std::string text = line.data();
    while (!text.empty() && text.back() == '\n') text.pop_back();
    if (!text.empty() && text.find(kNoNews) == std::string::npos) on_line_(text);
  }
  void Logv(const char* /*format*/, va_list /*arguments*/) override {
  }  // of no level: not asked for
  void LogHeader(const char* /*format*/, va_list /*arguments*/) override {}

 private:
  const std::function<void(const std::string&)> on_line_;
};

}  // namespace

bool lacks_room(const rocksdb::Status& status) {
  if (status.ok()) return false;
  const std::string text = status.ToString();
  return status.IsNoSpace() || says(text, ENOSPC) || says(text, EDQUOT);
}

wire::Status check(const rocksdb::Status& status, std::string_view doing,
                   const std::string& directory) {
  if (status.ok()) return {};
  const std::string text = status.ToString();
  // A file that RocksDB's own notes name is missing, or is not what they say.
  if (status.IsCorruption() || status.IsPathNotFound()) {
    return fail(ErrorCode::kCorrupt, "The rows in {} are damaged ({}, while {}).", directory, text,
                doing);
  }
  return fail(ErrorCode::kIo, "The state in {} failed while {}: {}. {}", directory, doing, text,
              advice_for(status, text));
}

std::shared_ptr<rocksdb::Logger> make_rocks_log(std::function<void(const std::string&)> on_line) {
  return std::make_shared<RocksLog>(std::move(on_line));
}

}  // namespace bib::projections
