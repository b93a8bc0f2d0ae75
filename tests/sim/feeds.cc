#include "feeds.h"

#include <algorithm>
#include <utility>

#include "sim_node.h"
#include "violation.h"

namespace bib::sim {

using wire::ErrorCode;
using wire::LogIndex;

namespace {

constexpr Time kPatience = 3 * kSecond;

}  // namespace

Feeds::Feeds(EventQueue& queue, wire::Prng& random, Trace& trace, const Plan& plan, Oracle& oracle,
             SimNetwork& network)
    : queue_(queue),
      random_(random),
      trace_(trace),
      plan_(plan),
      oracle_(oracle),
      network_(network),
      feeds_(plan.work.feeds) {}

void Feeds::start() {
  for (std::size_t i = 0; i < feeds_.size(); ++i) again(i, random_.below(2 * kSecond));
}

void Feeds::heal() {
  healing_ = true;
}

engine::Asker Feeds::asker(std::size_t index) const {
  return {static_cast<engine::SessionId>(kFirstSession + index), feeds_[index].request};
}

std::string Feeds::name(std::size_t index) const {
  return fmt::format("feed {}", index);
}

// ---- asking

void Feeds::again(std::size_t index, Time delay) {
  feeds_[index].request = 0;
  queue_.after(delay, *this, kAsk, index);
}

void Feeds::ask(std::size_t index) {
  Feed& feed = feeds_[index];
  if (healing_ || feed.request != 0) return;
  feed.request = next_request_++;
  feed.heard = 0;
  feed.node = static_cast<NodeIndex>(random_.below(nodes_.size()));
  feed.follows = random_.below(2) == 0;
  feed.consistency = static_cast<wire::Consistency>(random_.below(3));
  queue_.after(network_.client_latency(), *this, kArrives, feed.request << 8 | index);
  queue_.after(kPatience, *this, kSilent, feed.request << 8 | index);
}

void Feeds::on_event(std::uint32_t code, std::uint64_t argument) {
  if (code == kAsk) return ask(argument);
  if (code == kAnswered) return take(answers_[argument]);
  const std::size_t index = argument & 0xff;
  Feed& feed = feeds_[index];
  if (feed.request != argument >> 8) return;
  SimNode& node = *nodes_[feed.node];
  if (code == kArrives) {
    if (!node.is_running()) return again(index, random_.below(kSecond));
    wire::ReadEvents request;
    request.from = feed.next;
    request.follow = feed.follows;
    request.limit =
        feed.follows
            ? 0
            : static_cast<std::uint32_t>(random_.between(1, random_.below(2) == 0 ? 3 : 100));
    feed.limit = request.limit;
    feed.sent = 0;
    feed.question = oracle_.ask(queue_.now(), node, feed.consistency, 0);
    request.consistency = feed.consistency;
    wire::ClientEncoder encoder;
    const wire::ByteView body = encoder.encode(request);
    return node.on_request(asker(index), wire::FrameKind::kReadEvents, {body.begin(), body.end()});
  }
  // Nothing for long: another node may know more. One that follows is kept for a while.
  if (feed.heard > 0 && random_.below(3) != 0) {
    feed.heard = 0;
    queue_.after(kPatience, *this, kSilent, argument);
    return;
  }
  node.on_hang_up(asker(index).session);
  again(index, random_.below(kSecond));
}

void Feeds::on_node_gone(NodeIndex node) {
  for (std::size_t i = 0; i < feeds_.size(); ++i) {
    if (feeds_[i].request != 0 && feeds_[i].node == node) again(i, random_.below(kSecond));
  }
}

// ---- answers: one connection, so none is lost and they come in order

void Feeds::on_answer(NodeIndex node, engine::Asker asker, wire::FrameKind kind,
                      wire::ByteView body, bool more) {
  const auto index = static_cast<std::size_t>(asker.session) - kFirstSession;
  answers_.push_back({index, asker.request, node, kind, {body.begin(), body.end()}, more});
  queue_.after(kMillisecond, *this, kAnswered, answers_.size() - 1);
}

void Feeds::take(const Answer& answer) {
  Feed& feed = feeds_[answer.feed];
  if (feed.request != answer.request) return;
  ++feed.heard;
  if (answer.kind == wire::FrameKind::kErrorReply) return take_error(answer.feed, answer);
  const auto reply = wire::decode_events_reply(answer.body);
  if (!reply) violated("wire", "events cannot be read: {}", reply.error().message);
  check_size(answer.feed, *reply);
  trace_.note(answer.feed, reply->events.size(), reply->next.index.value(), reply->next.offset);
  for (const wire::LoggedEvent& event : reply->events) {
    oracle_.check_feed(name(answer.feed), feed.next, event.position);
    feed.next = {event.position.index, event.position.offset + 1};
    ++feed.sent;
  }
  if (reply->next < feed.next) {
    violated("feed", "{} is sent back from {} to {}", name(answer.feed), to_string(feed.next),
             to_string(reply->next));
  }
  oracle_.check_feed_goes_on(name(answer.feed), feed.next, reply->next);
  feed.next = reply->next;
  check_end(answer.feed, *reply);
  if (!answer.more) again(answer.feed, random_.below(kSecond));
}

// A list that ends by itself has everything that its level promises.
void Feeds::check_end(std::size_t index, const wire::EventsReply& reply) const {
  const Feed& feed = feeds_[index];
  if (!reply.end || feed.follows || feed.sent >= feed.limit) return;
  if (reply.next.index > feed.question.floor) return;
  violated("feed", "{}, at level {}, ends at {}, and entry {} had to be in it", name(index),
           judges::name_of(feed.consistency), to_string(reply.next), feed.question.floor.value());
}

void Feeds::check_size(std::size_t index, const wire::EventsReply& reply) const {
  std::size_t bytes = 0;
  for (const wire::LoggedEvent& event : reply.events) bytes += event.event.size();
  if (reply.events.size() <= 1 || bytes <= plan_.work.reply_bytes_max) return;
  violated("frame", "{} is sent {} events of {} bytes, and a reply may have {}", name(index),
           reply.events.size(), bytes, plan_.work.reply_bytes_max);
}

void Feeds::take_error(std::size_t index, const Answer& answer) {
  const auto error = wire::decode_error_reply(answer.body);
  if (!error) violated("wire", "an answer cannot be read: {}", error.error().message);
  Feed& feed = feeds_[index];
  const SimNode& node = *nodes_[answer.node];
  switch (error->code) {
    case ErrorCode::kNotLeader:
    case ErrorCode::kNoQuorum:
    case ErrorCode::kOverloaded:
      return again(index, random_.below(kSecond));
    case ErrorCode::kNotFound: {
      // Its log was cut since: what is gone cannot be read there.
      const LogIndex begins =
          node.raft() == nullptr ? LogIndex(1) : node.raft()->log().first_index();
      if (node.raft() == nullptr) return again(index, random_.below(kSecond));
      if (begins <= feed.next.index) break;
      feed.next = {begins, 0};
      return again(index, random_.below(kSecond));
    }
    default:
      break;
  }
  violated("feed", "{} at {} is told by {}: {}", name(index), to_string(feed.next), node.name(),
           error->message);
}

}  // namespace bib::sim
