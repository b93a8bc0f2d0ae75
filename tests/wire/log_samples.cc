#include "log_samples.h"

namespace bib::wire {

ClusterId sample_cluster(std::uint8_t fill) {
  ClusterId cluster;
  cluster.bytes.fill(fill);
  return cluster;
}

SegmentHeader sample_segment_header() {
  SegmentHeader header;
  header.number = 7;
  header.cluster = sample_cluster();
  header.node = NodeId(0xabc);
  header.log_id = 0x1d1d;
  header.first_sequence = 100;
  header.previous_index = LogIndex(40);
  header.previous_term = Term(3);
  header.hard_state = {.term = Term(3), .vote = NodeId(0xabc)};
  header.created_us = 1'700'000'000'000'000;
  header.alignment = 512;
  header.schema = {1, 2, 3, 4, 5};
  return header;
}

Bytes sample_entry(std::uint64_t index, std::uint64_t term, const std::string& text) {
  const EntryStamp stamp{.cluster = sample_cluster(),
                         .term = Term(term),
                         .index = LogIndex(index),
                         .time_us = 1'700'000'000'000'000};
  if (text.empty()) return make_noop_entry(stamp);
  EntryBuilder builder;
  builder.add_event(as_bytes(text));
  return builder.seal(stamp);
}

SegmentWriter::SegmentWriter(SegmentHeader header)
    : bytes(encode_segment_header(header)),
      sequence(header.first_sequence),
      log_id(header.log_id),
      segment(header.number),
      alignment_(header.alignment) {}

SegmentWriter& SegmentWriter::block(const Fill& fill, std::uint8_t flags,
                                    std::optional<std::uint64_t> claim) {
  BlockBuilder builder(alignment_);
  if (fill) fill(builder);
  const ByteView block = builder.finish({.sequence = sequence,
                                         .log_id = log_id,
                                         .segment = segment,
                                         .durable_sequence = claim.value_or(sequence - 1),
                                         .flags = flags});
  offsets.push_back(bytes.size());
  bytes.insert(bytes.end(), block.begin(), block.end());
  ++sequence;
  return *this;
}

SegmentWriter& SegmentWriter::entries(std::uint64_t index, std::uint64_t count, std::uint64_t term,
                                      const std::string& text) {
  return block([&](BlockBuilder& builder) {
    for (std::uint64_t i = 0; i < count; ++i) {
      builder.add_entry(sample_entry(index + i, term, text).view());
    }
  });
}

SegmentWriter& SegmentWriter::watermark() {
  return block({}, kBlockWatermark);
}

SegmentWriter& SegmentWriter::zeros(std::size_t size) {
  bytes.resize(bytes.size() + size);
  return *this;
}

}  // namespace bib::wire
