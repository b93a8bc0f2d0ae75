// RaftDriver's appends on their way out. An append gets its entries' bytes from the cache; where it
// no longer has them, from the log's files, and what follows waits behind it (append_backlog.h).

#include <algorithm>
#include <utility>

#include "engine/node/raft_driver.h"
#include "engine/node/received_entries.h"

namespace bib::engine {

using wire::Bytes;
using wire::LogIndex;
using wire::NodeId;
using wire::PeerMessage;

// Consensus counts entries as they are stored. What a follower would have to decompress for one
// message beyond what it takes leaves in several; each of them is an append.
void RaftDriver::send_append(PeerMessage&& message) {
  std::size_t fits = entries_in_one_append(message.payload);
  while (fits < message.payload.size()) {
    const auto cut = message.payload.begin() + static_cast<std::ptrdiff_t>(fits);
    std::vector<Bytes> rest_payload(cut, message.payload.end());
    message.payload.resize(fits);
    PeerMessage rest = split(message);
    rest.payload = std::move(rest_payload);
    peers_.send(message);
    message = std::move(rest);
    fits = entries_in_one_append(message.payload);
  }
  peers_.send(message);
}

bool RaftDriver::attach_from_cache(PeerMessage& message) const {
  message.payload.clear();
  for (const wire::EntryInfo& info : message.entries) {
    const Bytes* entry = cache_.find(info.index);
    if (entry == nullptr) return false;
    message.payload.push_back(*entry);
  }
  return true;
}

void RaftDriver::enqueue_after_read(PeerMessage&& message) {
  const NodeId peer = message.to;
  AppendBacklog& backlog = backlogs_[peer];
  if (backlog.messages.size() >= options_.waiting_appends_max || backlog.taken_back != LogIndex()) {
    ++appends_dropped_;
    backlog.take_back(message);
    return;
  }
  backlog.messages.push_back(std::move(message));
  if (backlog.read_token == 0) read_for(peer, backlog);
}

void RaftDriver::read_for(NodeId peer, AppendBacklog& backlog) {
  const auto [first, last] = backlog.range_to_read();
  backlog.read_token = next_read_token_++;
  reads_for_peers_[backlog.read_token] = peer;
  log_.read(backlog.read_token, first, std::min(last, raft_.durable_index()), options_.read_bytes);
}

// Sends what the read covers, in order, and reads on for the rest.
void RaftDriver::continue_backlog(NodeId peer, const std::vector<Bytes>& entries) {
  AppendBacklog& backlog = backlogs_[peer];
  backlog.read_token = 0;
  const EntriesRead read(entries);
  bool any = false;
  while (!backlog.messages.empty()) {
    PeerMessage& message = backlog.messages.front();
    message.payload.clear();
    for (const wire::EntryInfo& info : message.entries) {
      const Bytes* entry = read.find(info);
      if (entry == nullptr) entry = cache_.find(info.index);
      if (entry == nullptr) break;
      message.payload.push_back(*entry);
    }
    const bool whole = message.payload.size() == message.entries.size();
    // A prefix of an append is an append, too; the front message always gets on.
    if (!whole && (any || message.payload.empty())) break;
    PeerMessage rest = whole ? PeerMessage{} : split(message);
    const bool still_leading =
        raft_.role() == consensus::Role::kLeader && message.term == raft_.term();
    if (still_leading) send_append(std::move(message));
    backlog.messages.pop_front();
    any = true;
    if (whole) continue;
    backlog.messages.push_front(std::move(rest));
    break;
  }
  if (any && !backlog.messages.empty()) return read_for(peer, backlog);
  take_back_backlog(peer);  // empty, or the log has changed meanwhile
}

// What still waits for entries is Raft's again, with what was not kept.
void RaftDriver::take_back_backlog(NodeId peer) {
  AppendBacklog& backlog = backlogs_[peer];
  if (!backlog.messages.empty()) backlog.take_back(backlog.messages.front());
  const LogIndex taken_back = backlog.taken_back;
  backlogs_.erase(peer);
  if (taken_back != LogIndex()) raft_.take_back_appends(peer, taken_back);
}

}  // namespace bib::engine
