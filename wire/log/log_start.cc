#include "wire/log/log_start.h"

#include "wire/base/check.h"
#include "wire/log/note.h"

namespace bib::wire {
namespace {

constexpr NoteKind kKind{.magic = "BIBLOGST", .version = 1, .name = "note of the log's start"};

}  // namespace

std::vector<std::uint8_t> encode_log_start(const LogStart& start) {
  BIB_CHECK(start.first_segment >= 2 && start.previous_index != LogIndex());
  return encode_note(kKind, {start.log_id, start.first_segment, start.previous_index.value(),
                             start.previous_term.value(), 0});
}

Result<LogStart> decode_log_start(ByteView bytes) {
  BIB_TRY(const NoteNumbers numbers, decode_note(kKind, bytes));
  const LogStart start{.log_id = numbers[0],
                       .first_segment = numbers[1],
                       .previous_index = LogIndex(numbers[2]),
                       .previous_term = Term(numbers[3])};
  if (numbers[4] != 0 || start.first_segment < 2 || start.previous_index == LogIndex() ||
      start.previous_term == Term()) {
    return bad_note(kKind, "a field has a value that it cannot have");
  }
  return start;
}

}  // namespace bib::wire
