#include "engine/node/received_entries.h"

#include <algorithm>

#include "wire/base/mutant.h"
#include "wire/log/entry.h"
#include "wire/model/event.h"

namespace bib::engine {
namespace {

wire::Status check_entry(const wire::Bytes& entry) {
  BIB_TRY(const auto reader, wire::EntryReader::open(entry, true));
  for (std::size_t i = 0; i < reader.event_count(); ++i) {
    BIB_TRY_VOID(wire::read_event(reader.event(i)));
  }
  return {};
}

}  // namespace

std::size_t entries_in_one_append(std::span<const wire::Bytes> entries) {
  std::size_t bytes = 0;
  std::size_t count = 0;
  for (const wire::Bytes& entry : entries) {
    if (bytes > kAppendDecodedBytesMax) break;
    const auto header = wire::read_entry_header(entry.view());
    if (header) bytes += header->body_size;
    ++count;
  }
  return count;
}

wire::Status check_entries(const wire::PeerMessage& message, std::size_t fresh) {
  if (BIB_MUTANT(kTakesUnreadEntries)) return {};
  const std::size_t first = message.payload.size() - std::min(fresh, message.payload.size());
  const auto unread = std::span(message.payload).subspan(first);
  const std::size_t allowed = entries_in_one_append(unread);
  if (allowed < unread.size()) {
    return wire::fail(wire::ErrorCode::kInvalid,
                      "{} entries from {} on would be more than {} bytes when decompressed, which "
                      "no leader sends at once",
                      unread.size(), message.entries[first].index.value(), kAppendDecodedBytesMax);
  }
  for (std::size_t i = first; i < message.payload.size(); ++i) {
    if (const auto status = check_entry(message.payload[i]); !status) {
      return wire::fail(status.error().code, "entry {}: {}", message.entries[i].index.value(),
                        status.error().message);
    }
  }
  return {};
}

}  // namespace bib::engine
