#include "engine/node/event_feed.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "wire/base/mutant.h"
#include "wire/log/entry.h"
#include "wire/model/event.h"

namespace bib::engine {
namespace {

constexpr std::size_t kReadBytes = 512U << 10;
constexpr std::size_t kOutgoingMax = 2U << 20;
constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

}  // namespace

// What one job on the pool brings.
struct EventFeed::Batch {
  std::vector<std::uint8_t> body;  // an encoded EventsReply; empty: nothing fitted
  std::uint64_t events = 0;
  wire::Position next;
};

EventFeed::EventFeed(Executor& pool, ClientPort& clients, std::shared_ptr<LogReader> reader)
    : pool_(pool), clients_(clients), reader_(std::move(reader)) {}

EventFeed::~EventFeed() = default;

void EventFeed::start(Asker asker, const wire::ReadEvents& request) {
  if (!clients_.is_open(asker.session)) return;  // gone while its consistency was confirmed
  Feed feed;
  feed.asker = asker;
  feed.next = request.from;
  if (feed.next.index == wire::LogIndex()) feed.next = {wire::LogIndex(1), 0};
  feed.left = request.limit == 0 ? kNoLimit : request.limit;
  feed.follow = request.follow;
  feed.stream_prefix = request.stream_prefix;
  const std::uint64_t id = next_id_++;
  feeds_.emplace(id, std::move(feed));
  pump(id);
}

wire::LogIndex EventFeed::readable() const {
  if (BIB_MUTANT(kFeedsBeyondDisk)) return applied_;
  if (BIB_MUTANT(kFeedsUncommitted)) return durable_;
  return std::min(applied_, durable_);
}

void EventFeed::on_turn(wire::LogIndex durable) {
  durable_ = durable;
  if (readable() == pumped_to_) return;
  pumped_to_ = readable();
  if (feeds_.empty()) return;
  std::vector<std::uint64_t> waiting;
  for (const auto& [id, feed] : feeds_) {
    if (!feed.reading) waiting.push_back(id);
  }
  for (const std::uint64_t id : waiting) pump(id);
}

void EventFeed::on_session_end(SessionId session) {
  std::erase_if(feeds_, [&](const auto& entry) { return entry.second.asker.session == session; });
}

void EventFeed::on_session_drained(SessionId session) {
  if (feeds_.empty()) return;
  std::vector<std::uint64_t> ready;
  for (const auto& [id, feed] : feeds_) {
    if (feed.asker.session == session && !feed.reading) ready.push_back(id);
  }
  for (const std::uint64_t id : ready) pump(id);
}

void EventFeed::pump(std::uint64_t id) {
  const auto found = feeds_.find(id);
  if (found == feeds_.end()) return;
  Feed& feed = found->second;
  const bool at_end = feed.left == 0 || (!feed.follow && feed.next.index > applied_);
  if (at_end) {
    send_end(feed);
    feeds_.erase(found);
    return;
  }
  if (feed.next.index > readable()) return;                                // on_turn() comes back
  if (clients_.outgoing_bytes(feed.asker.session) > kOutgoingMax) return;  // on_session_drained()
  feed.reading = true;
  auto batch = std::make_shared<wire::Result<Batch>>();
  pool_.run(
      [reader = reader_, copy = feed, last = readable(), batch] {
        *batch = read_batch(*reader, copy, last);
      },
      lifetime_.guarded([id, batch](EventFeed& self) { self.on_batch(id, std::move(*batch)); }));
}

wire::Result<EventFeed::Batch> EventFeed::read_batch(LogReader& reader, const Feed& feed,
                                                     wire::LogIndex last) {
  const wire::LogIndex log_begins = reader.first_index();
  if (feed.next.index < log_begins) {
    return wire::fail(wire::ErrorCode::kNotFound,
                      "this node's log starts at entry {}: what came before it is in snapshots "
                      "only. Ask for the events from there on (--from {}:0), or ask a node whose "
                      "log goes back further",
                      log_begins.value(), log_begins.value());
  }
  BIB_TRY(const std::vector<wire::Bytes> entries, reader.read(feed.next.index, last, kReadBytes));
  Batch batch;
  batch.next = feed.next;
  wire::EventsReply reply;
  std::vector<wire::EntryReader> readers;  // hold the events' bytes
  readers.reserve(entries.size());
  for (const wire::Bytes& entry : entries) {
    BIB_TRY(wire::EntryReader opened, wire::EntryReader::open(entry, true));
    readers.push_back(std::move(opened));
    const wire::EntryReader& current = readers.back();
    const wire::EntryHeader& header = current.header();
    const bool first = header.index == feed.next.index;
    for (std::size_t i = first ? feed.next.offset : 0; i < current.event_count(); ++i) {
      if (batch.events == feed.left) break;
      batch.next = {header.index, static_cast<std::uint32_t>(i) + 1};
      if (BIB_MUTANT(kFeedSkipsRest)) batch.next = {header.index + 1, 0};
      if (!feed.stream_prefix.empty()) {
        BIB_TRY(const wire::Event event, wire::read_event(current.event(i)));
        if (!wire::event_stream(event.body).starts_with(feed.stream_prefix)) continue;
      }
      reply.events.push_back(wire::LoggedEvent{{header.index, static_cast<std::uint32_t>(i)},
                                               header.term,
                                               header.time_us,
                                               current.event(i)});
      ++batch.events;
    }
    if (batch.events == feed.left) break;
    batch.next = {header.index + 1, 0};
  }
  if (reply.events.empty()) return batch;
  reply.next = batch.next;
  wire::ClientEncoder encoder;
  const wire::ByteView body = encoder.encode(reply);
  batch.body.assign(body.begin(), body.end());
  return batch;
}

void EventFeed::on_batch(std::uint64_t id, wire::Result<Batch> batch) {
  const auto found = feeds_.find(id);
  if (found == feeds_.end()) return;
  Feed& feed = found->second;
  feed.reading = false;
  if (!batch) {
    clients_.refuse(feed.asker, batch.error());
    feeds_.erase(found);
    return;
  }
  feed.next = batch->next;
  if (feed.left != kNoLimit) feed.left -= batch->events;
  if (!batch->body.empty()) {
    clients_.answer_partly(feed.asker, wire::FrameKind::kEventsReply, batch->body);
  }
  pump(id);
}

void EventFeed::send_end(const Feed& feed) {
  wire::ClientEncoder encoder;
  wire::EventsReply reply;
  reply.next = feed.next;
  reply.end = true;
  clients_.answer(feed.asker, wire::FrameKind::kEventsReply, encoder.encode(reply));
}

}  // namespace bib::engine
