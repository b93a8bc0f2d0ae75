// One segment: as it comes, and with checksums that fit.
#include "checksums.h"
#include "wire/base/check.h"
#include "wire/log/log_format.h"

using namespace bib::wire;

namespace {

void scan(ByteView file, const ScanOptions& options) {
  std::uint64_t last_offset = 0;
  const auto result = scan_segment(file, options, [&](const Record& record) -> Status {
    BIB_CHECK(record.content.data() == file.data() + record.file_offset);
    BIB_CHECK(record.file_offset + record.content.size() <= file.size());
    BIB_CHECK(record.file_offset > last_offset);
    last_offset = record.file_offset;
    return {};
  });
  if (!result) return;
  BIB_CHECK(result->end_offset <= file.size());
  BIB_CHECK(result->next_sequence - result->header.first_sequence == result->blocks);
  BIB_CHECK(options.is_last || result->end == SegmentEnd::kSealed ||
            result->end == SegmentEnd::kDamaged);
  const bool has_problem = result->end == SegmentEnd::kTorn || result->end == SegmentEnd::kDamaged;
  BIB_CHECK(has_problem == !result->problem.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::uint8_t> fixed = with_segment_checksums({data, size});
  for (const ByteView file : {ByteView(data, size), ByteView(fixed)}) {
    scan(file, {});
    scan(file, {.is_last = false, .verify_entries = false});
  }
  return 0;
}
