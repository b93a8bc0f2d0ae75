// AppendBacklog: appends to one peer that wait for entries from the log's files, because the cache
// of the newest ones no longer has them. Later appends queue up after them, so that they leave in
// order. What is not kept, or cannot be read any more, is given back to Raft, which sends it again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "wire/base/bytes.h"
#include "wire/base/ids.h"
#include "wire/log/entry.h"
#include "wire/peer/peer_message.h"

namespace bib::engine {

struct AppendBacklog {
  std::deque<wire::PeerMessage> messages;
  std::uint64_t read_token = 0;  // 0: none under way
  wire::LogIndex taken_back;     // appends from here on were not kept; 0: all were

  void take_back(const wire::PeerMessage& message) {
    const wire::LogIndex first = message.entries.front().index;
    taken_back = taken_back == wire::LogIndex() ? first : std::min(taken_back, first);
  }

  // As far as the waiting messages reach without a gap, so that one read serves many of them.
  std::pair<wire::LogIndex, wire::LogIndex> range_to_read() const {
    const wire::LogIndex first = messages.front().entries.front().index;
    wire::LogIndex last = messages.front().entries.back().index;
    for (const wire::PeerMessage& message : messages) {
      if (message.entries.front().index == last + 1) last = message.entries.back().index;
    }
    return {first, last};
  }
};

// What a read of the log has found.
class EntriesRead {
 public:
  explicit EntriesRead(const std::vector<wire::Bytes>& entries) {
    for (const wire::Bytes& entry : entries) {
      const auto header = wire::read_entry_header(entry.view());
      if (header) found_[header->index] = {header->term, &entry};
    }
  }
  const wire::Bytes* find(const wire::EntryInfo& info) const {
    const auto found = found_.find(info.index);
    return found != found_.end() && found->second.first == info.term ? found->second.second
                                                                     : nullptr;
  }

 private:
  std::map<wire::LogIndex, std::pair<wire::Term, const wire::Bytes*>> found_;
};

// Leaves in `message` the entries whose bytes it has, and returns an append of those after them.
inline wire::PeerMessage split(wire::PeerMessage& message) {
  wire::PeerMessage rest = message;
  const auto sent = static_cast<std::ptrdiff_t>(message.payload.size());
  rest.payload.clear();
  rest.entries.erase(rest.entries.begin(), rest.entries.begin() + sent);
  message.entries.resize(message.payload.size());
  rest.log_index = message.entries.back().index;
  rest.log_term = message.entries.back().term;
  return rest;
}

}  // namespace bib::engine
