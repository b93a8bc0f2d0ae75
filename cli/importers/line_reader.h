// LineReader: lines of a stream, in pieces of bounded size, with their numbers.
//
// Borrows the stream. A line longer than kLineSizeMax is cut there and flagged; the rest of it is
// read over.
#pragma once

#include <cstdint>
#include <istream>
#include <string>
#include <string_view>

namespace bib::cli {

class LineReader {
 public:
  static constexpr std::size_t kLineSizeMax = 1U << 20;

  explicit LineReader(std::istream& in) : in_(in) {}

  // The beginning of what has not been read yet, up to `size` bytes.
  std::string_view peek(std::size_t size);

  // Leaves out the next `size` bytes, which were peeked.
  void skip(std::size_t size) { begin_ += size; }

  struct Line {
    std::string_view text;  // without its end; valid until the next call
    std::uint64_t number = 0;
    bool cut = false;
  };
  // False: the end.
  bool next(Line& line);

  // Everything that has not been read yet, up to `size_max` bytes.
  std::string read_all(std::size_t size_max);

  std::uint64_t bytes_read() const { return bytes_read_; }
  bool failed() const { return in_.bad(); }

 private:
  bool fill();

  std::istream& in_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::uint64_t number_ = 0;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace bib::cli
