#include "engine/node/event_feed.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "wire/base/mutant.h"
#include "wire/log/entry.h"
#include "wire/model/event.h"

namespace bib::engine {
namespace {

constexpr std::size_t kReadBytes = 512U << 10;  // of the log's files, by one job
// Of entries after decompression: a job whose stream is rare has looked at enough.
constexpr std::size_t kScanBytes = 16U << 20;
// However many feeds there are, a job brings this much if it is there.
constexpr std::size_t kBatchBytesMin = 32U << 10;
// What a reply adds to each event.
constexpr std::size_t kEventOverhead = 64;
constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

}  // namespace

// What one job on the pool brings.
struct EventFeed::Batch {
  std::vector<std::uint8_t> body;  // an encoded EventsReply; empty: nothing fitted
  std::uint64_t events = 0;
  wire::Position next;
};

// The events of a batch, copied, so that no more than one entry is open at a time.
struct EventFeed::Collected {
  std::vector<wire::LoggedEvent> events;  // `event` is set when all are there
  std::vector<std::size_t> ends;          // of each event, in `bytes`
  std::vector<std::uint8_t> bytes;
  bool is_full = false;

  void add(const wire::EntryHeader& header, std::uint32_t offset, wire::ByteView event) {
    events.push_back({{header.index, offset}, header.term, header.time_us, {}});
    bytes.insert(bytes.end(), event.begin(), event.end());
    ends.push_back(bytes.size());
  }
  std::size_t size_with(wire::ByteView event) const {
    return bytes.size() + event.size() + (events.size() + 1) * kEventOverhead;
  }
  wire::EventsReply reply(wire::Position next) {
    wire::EventsReply reply;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < events.size(); ++i) {
      events[i].event = wire::ByteView(bytes).subspan(begin, ends[i] - begin);
      begin = ends[i];
    }
    reply.events = std::move(events);
    reply.next = next;
    return reply;
  }
};

EventFeed::EventFeed(EventFeedOptions options, Executor& pool, ClientPort& clients,
                     std::shared_ptr<LogReader> reader)
    : options_(options), pool_(pool), clients_(clients), reader_(std::move(reader)) {}

EventFeed::~EventFeed() = default;

void EventFeed::start(Asker asker, const wire::ReadEvents& request) {
  if (!clients_.is_open(asker.session)) return;  // gone while its consistency was confirmed
  const auto known = sessions_.find(asker.session);
  const std::size_t of_session = known == sessions_.end() ? 0 : known->second.feeds.size();
  if (of_session >= options_.feeds_per_session_max) {
    ++overloaded_;
    return clients_.refuse(
        asker, {wire::ErrorCode::kOverloaded,
                fmt::format("{} requests of this connection read events already "
                            "(limits.feeds_per_client); wait until one has ended, or open another "
                            "connection",
                            of_session)});
  }
  if (feeds_.size() >= options_.feeds_max) {
    ++overloaded_;
    return clients_.refuse(
        asker,
        {wire::ErrorCode::kOverloaded,
         fmt::format("{} requests read events of this node already (limits.feeds); try again in "
                     "a moment, or ask another node",
                     feeds_.size())});
  }
  Feed feed;
  feed.asker = asker;
  feed.next = request.from;
  if (feed.next.index == wire::LogIndex()) feed.next = {wire::LogIndex(1), 0};
  feed.left = request.limit == 0 ? kNoLimit : request.limit;
  feed.follow = request.follow;
  feed.stream_prefix = request.stream_prefix;
  const std::uint64_t id = next_id_++;
  feeds_.emplace(id, std::move(feed));
  sessions_[asker.session].feeds.push_back(id);
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
  std::vector<std::uint64_t> waiting;
  for (const auto& [id, feed] : feeds_) {
    if (feed.batch_bytes == 0 && !feed.parked) waiting.push_back(id);
  }
  for (const std::uint64_t id : waiting) pump(id);
}

void EventFeed::on_session_end(SessionId session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  outgoing_ -= found->second.outgoing;
  for (const std::uint64_t id : found->second.feeds) feeds_.erase(id);
  sessions_.erase(found);
  pump_parked();
}

void EventFeed::on_session_drained(SessionId session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  const std::vector<std::uint64_t> ready = found->second.feeds;
  settle(session);
  pump_parked();  // others first: they have waited
  for (const std::uint64_t id : ready) pump(id);
}

// ---- room

std::size_t EventFeed::batch_bytes() const {
  const std::size_t share =
      options_.outgoing_bytes_max / (2 * std::max<std::size_t>(1, feeds_.size()));
  return std::min(std::max(share, kBatchBytesMin), options_.reply_bytes_max);
}

// Those who do not read, or slowly, fill the room once: who has taken everything gets at least a
// little, from as much again.
std::size_t EventFeed::room_for(const Feed& feed) const {
  if (reads_ >= options_.reads_max) return 0;
  const std::size_t share = batch_bytes();
  if (outgoing_ == 0 || outgoing_ + share <= options_.outgoing_bytes_max) return share;
  const std::size_t little = std::min(kBatchBytesMin, options_.reply_bytes_max);
  const bool fits = outgoing_ + little <= 2 * options_.outgoing_bytes_max;
  return fits && has_nothing_waiting(feed.asker.session) ? little : 0;
}

bool EventFeed::has_nothing_waiting(SessionId session) const {
  const Session& own = sessions_.at(session);
  return own.outgoing == 0 && std::none_of(own.feeds.begin(), own.feeds.end(),
                                           [&](auto id) { return feeds_.at(id).batch_bytes != 0; });
}

// What has left for the session gives its room back.
void EventFeed::settle(SessionId session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  const std::size_t left = std::min(found->second.outgoing, clients_.outgoing_bytes(session));
  outgoing_ -= found->second.outgoing - left;
  found->second.outgoing = left;
  if (left == 0 && found->second.feeds.empty()) sessions_.erase(found);
}

void EventFeed::pump_parked() {
  // One that has to wait goes to the end, so each is looked at once.
  for (std::size_t left = parked_.size(); left > 0 && reads_ < options_.reads_max; --left) {
    const std::uint64_t id = parked_.front();
    parked_.pop_front();
    const auto found = feeds_.find(id);
    if (found == feeds_.end()) continue;
    found->second.parked = false;
    pump(id);
  }
}

// ---- one feed

void EventFeed::pump(std::uint64_t id) {
  const auto found = feeds_.find(id);
  if (found == feeds_.end()) return;
  Feed& feed = found->second;
  if (feed.batch_bytes != 0 || feed.parked) return;
  const bool at_end = feed.left == 0 || (!feed.follow && feed.next.index > applied_);
  if (at_end) {
    send(feed, true);
    return end(id);
  }
  if (feed.next.index > readable()) {  // on_turn() comes back
    if (feed.follow && !feed.heard) send(feed, false);
    feed.heard = true;
    return;
  }
  const std::size_t share = batch_bytes();
  settle(feed.asker.session);
  if (clients_.outgoing_bytes(feed.asker.session) > share / 2) return;  // on_session_drained()
  feed.batch_bytes = room_for(feed);
  if (feed.batch_bytes == 0) {
    feed.parked = true;
    parked_.push_back(id);
    return;
  }
  read(id, feed);
}

void EventFeed::read(std::uint64_t id, Feed& feed) {
  ++reads_;
  outgoing_ += feed.batch_bytes;
  auto batch = std::make_shared<wire::Result<Batch>>();
  pool_.run([reader = reader_, copy = feed, last = readable(),
             batch] { *batch = read_batch(*reader, copy, last); },
            lifetime_.guarded([id, batch, reserved = feed.batch_bytes](EventFeed& self) {
              --self.reads_;
              self.outgoing_ -= reserved;
              self.on_batch(id, std::move(*batch));
              self.pump_parked();
              self.pump(id);
            }));
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
  Collected collected;
  std::size_t scanned = 0;
  for (const wire::Bytes& entry : entries) {
    BIB_TRY(const wire::EntryReader opened, wire::EntryReader::open(entry, true));
    BIB_TRY_VOID(collect(feed, opened, batch, collected));
    scanned += opened.body().size();
    if (collected.is_full || batch.events == feed.left || scanned >= kScanBytes) break;
  }
  if (collected.events.empty()) return batch;
  wire::ClientEncoder encoder;
  const wire::ByteView body = encoder.encode(collected.reply(batch.next));
  batch.body.assign(body.begin(), body.end());
  return batch;
}

// Takes the feed's events of an entry, and moves batch.next behind what was looked at.
wire::Status EventFeed::collect(const Feed& feed, const wire::EntryReader& entry, Batch& batch,
                                Collected& collected) {
  const wire::EntryHeader& header = entry.header();
  const bool first = header.index == feed.next.index;
  for (std::size_t i = first ? feed.next.offset : 0; i < entry.event_count(); ++i) {
    if (batch.events == feed.left) return {};
    const wire::ByteView event = entry.event(i);
    bool wanted = true;
    if (!feed.stream_prefix.empty()) {
      BIB_TRY(const wire::Event parsed, wire::read_event(event));
      wanted = wire::event_stream(parsed.body).starts_with(feed.stream_prefix);
    }
    if (wanted && !collected.events.empty() && collected.size_with(event) > feed.batch_bytes &&
        !BIB_MUTANT(kFeedCountsStored)) {
      collected.is_full = true;
      return {};
    }
    batch.next = {header.index, static_cast<std::uint32_t>(i) + 1};
    if (BIB_MUTANT(kFeedSkipsRest)) batch.next = {header.index + 1, 0};
    if (!wanted) continue;
    collected.add(header, static_cast<std::uint32_t>(i), event);
    ++batch.events;
  }
  if (batch.events != feed.left) batch.next = {header.index + 1, 0};
  return {};
}

void EventFeed::on_batch(std::uint64_t id, wire::Result<Batch> batch) {
  const auto found = feeds_.find(id);
  if (found == feeds_.end()) return;
  Feed& feed = found->second;
  feed.batch_bytes = 0;
  if (!batch) {
    clients_.refuse(feed.asker, batch.error());
    return end(id);
  }
  feed.next = batch->next;
  if (feed.left != kNoLimit) feed.left -= batch->events;
  if (batch->body.empty()) return;
  feed.heard = true;
  sessions_.at(feed.asker.session).outgoing += batch->body.size();
  outgoing_ += batch->body.size();
  clients_.answer_partly(feed.asker, wire::FrameKind::kEventsReply, batch->body);
}

void EventFeed::end(std::uint64_t id) {
  const auto found = feeds_.find(id);
  const SessionId session = found->second.asker.session;
  feeds_.erase(found);
  std::erase(sessions_.at(session).feeds, id);
  settle(session);
}

void EventFeed::end_all(const wire::Error& why, const wire::Member* leader) {
  while (!feeds_.empty()) {
    const auto& [id, feed] = *feeds_.begin();
    clients_.refuse(feed.asker, why, leader);
    end(id);
  }
}

void EventFeed::send(const Feed& feed, bool end) {
  wire::ClientEncoder encoder;
  wire::EventsReply reply;
  reply.next = feed.next;
  reply.end = end;
  const wire::ByteView body = encoder.encode(reply);
  if (end) return clients_.answer(feed.asker, wire::FrameKind::kEventsReply, body);
  clients_.answer_partly(feed.asker, wire::FrameKind::kEventsReply, body);
}

}  // namespace bib::engine
