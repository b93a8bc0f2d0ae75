#include "engine/node/received_entries.h"

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

wire::Status check_entries(const wire::PeerMessage& message) {
  if (BIB_MUTANT(kTakesUnreadEntries)) return {};
  for (std::size_t i = 0; i < message.payload.size(); ++i) {
    if (const auto status = check_entry(message.payload[i]); !status) {
      return wire::fail(status.error().code, "entry {}: {}", message.entries[i].index.value(),
                        status.error().message);
    }
  }
  return {};
}

}  // namespace bib::engine
