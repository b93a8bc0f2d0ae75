#include "cli/importers/line_reader.h"

#include <algorithm>

namespace bib::cli {
namespace {

constexpr std::size_t kChunkSize = 256U << 10;

}  // namespace

// Appends a chunk to what is left; false at the end.
bool LineReader::fill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  const std::size_t old = buffer_.size();
  buffer_.resize(old + kChunkSize);
  in_.read(buffer_.data() + old, static_cast<std::streamsize>(kChunkSize));
  const auto got = static_cast<std::size_t>(in_.gcount());
  buffer_.resize(old + got);
  bytes_read_ += got;
  return got > 0;
}

std::string_view LineReader::peek(std::size_t size) {
  while (buffer_.size() - begin_ < size && fill()) {
  }
  return std::string_view(buffer_).substr(begin_, size);
}

bool LineReader::next(Line& line) {
  line.cut = false;
  std::size_t searched = 0;
  for (;;) {
    const std::size_t end = buffer_.find('\n', begin_ + searched);
    if (end != std::string::npos) {
      line.text = std::string_view(buffer_).substr(begin_, end - begin_);
      begin_ = end + 1;
      break;
    }
    searched = buffer_.size() - begin_;
    if (searched > kLineSizeMax) {
      // The head is kept and flagged; its middle is dropped.
      line.cut = true;
      buffer_.erase(begin_ + kLineSizeMax);
      searched = kLineSizeMax;
    }
    if (!fill()) {
      if (begin_ == buffer_.size()) return false;
      line.text = std::string_view(buffer_).substr(begin_);
      begin_ = buffer_.size();
      break;
    }
  }
  line.cut = line.cut || line.text.size() > kLineSizeMax;
  line.text = line.text.substr(0, kLineSizeMax);
  if (!line.text.empty() && line.text.back() == '\r') line.text.remove_suffix(1);
  line.number = ++number_;
  return true;
}

std::string LineReader::read_all(std::size_t size_max) {
  const std::string_view all = peek(size_max);
  std::string copy(all);
  begin_ += copy.size();
  return copy;
}

}  // namespace bib::cli
