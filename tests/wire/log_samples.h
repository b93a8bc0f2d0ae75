// Segments for tests, block by block.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "wire/log/log_format.h"

namespace bib::wire {

// 16 bytes, each `fill`.
ClusterId sample_cluster(std::uint8_t fill = 0xc1);

// Segment 7 of log 0x1d1d, alignment 512, blocks from sequence 100 on, after entry 40 of term 3.
SegmentHeader sample_segment_header();

// An entry of the sample cluster: a no-op, or one event with this text.
Bytes sample_entry(std::uint64_t index, std::uint64_t term, const std::string& text = "");

// Appends blocks as the log thread would, one by one synced.
class SegmentWriter {
 public:
  explicit SegmentWriter(SegmentHeader header = sample_segment_header());

  using Fill = std::function<void(BlockBuilder&)>;
  // `claim`: the durable sequence, as the block before when it is not given.
  SegmentWriter& block(const Fill& fill, std::uint8_t flags = 0,
                       std::optional<std::uint64_t> claim = std::nullopt);
  // A block with entries from `index` on, all of one term.
  SegmentWriter& entries(std::uint64_t index, std::uint64_t count, std::uint64_t term,
                         const std::string& text = "");
  SegmentWriter& watermark();
  SegmentWriter& zeros(std::size_t size);

  std::vector<std::uint8_t> bytes;
  std::vector<std::size_t> offsets;  // of the blocks
  // What the next block will say.
  std::uint64_t sequence;
  std::uint64_t log_id;
  std::uint64_t segment;

 private:
  std::uint32_t alignment_;
};

}  // namespace bib::wire
