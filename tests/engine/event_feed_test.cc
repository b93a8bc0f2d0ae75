// Lists and followers of the log's events: what one reply, one feed and all of them together may
// take, with readers that stop. A log on a simulated disk; jobs run when the test says so.
#include "engine/node/event_feed.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <utility>
#include <vector>

#include "engine/storage/log_store.h"
#include "faulty_file_system.h"
#include "log_model.h"
#include "node_ports.h"
#include "wire/log/entry.h"

using namespace bib;
using namespace bib::engine;
using wire::ErrorCode;
using wire::FrameKind;
using wire::LogIndex;
using wire::Position;

namespace {

constexpr std::size_t kMiB = 1U << 20;

struct Rig {
  explicit Rig(EventFeedOptions options = {}) {
    auto opened = LogStore::open(files, kLogDirectory, test_options());
    REQUIRE(opened);
    log = std::move(opened->store);
    reader = std::make_shared<LogReader>(files, kLogDirectory, log->locations());
    feed = std::make_unique<EventFeed>(options, jobs, clients, reader);
  }

  // An entry of so many events, each of one letter.
  void append(std::size_t events, std::size_t event_bytes) {
    wire::EntryBuilder builder;
    for (std::size_t i = 0; i < events; ++i) {
      builder.add_event(std::vector<std::uint8_t>(event_bytes, static_cast<std::uint8_t>('a' + i)));
    }
    LogStoreWrite write;
    write.entries.push_back(
        builder.seal({test_options().cluster, wire::Term(1), LogIndex(++last), 1}));
    stored += write.entries.back().size();
    REQUIRE(log->append({&write, 1}));
  }
  void show() {
    feed->on_applied(LogIndex(last));
    feed->on_turn(LogIndex(last));
  }
  void ask(std::uint64_t session, bool follow = false, std::uint32_t limit = 0) {
    wire::ReadEvents request;
    request.from = {LogIndex(1), 0};
    request.follow = follow;
    request.limit = limit;
    feed->start({static_cast<SessionId>(session), 1}, request);
  }
  // The client reads all that waits for it.
  void drain(std::uint64_t session) {
    clients.outgoing[static_cast<SessionId>(session)] = 0;
    feed->on_session_drained(static_cast<SessionId>(session));
  }
  void run_jobs() { jobs.run_all(); }
  // Every client reads at once, until nothing happens any more.
  void run_with_readers(const std::vector<std::uint64_t>& sessions) {
    std::size_t before = SIZE_MAX;
    while (before != clients.answers.size() || !jobs.waiting.empty()) {
      before = clients.answers.size();
      run_jobs();
      for (const std::uint64_t session : sessions) drain(session);
    }
  }
  std::vector<Position> seen_by(std::uint64_t session) const {
    std::vector<Position> positions;
    for (const Answer& answer : clients.answers) {
      if (answer.asker.session != static_cast<SessionId>(session)) continue;
      REQUIRE(answer.kind == FrameKind::kEventsReply);
      const auto reply = wire::decode_events_reply(answer.body);
      REQUIRE(reply);
      for (const auto& event : reply->events) positions.push_back(event.position);
    }
    return positions;
  }
  std::size_t largest() const {
    std::size_t most = 0;
    for (const Answer& answer : clients.answers) most = std::max(most, answer.body.size());
    return most;
  }

  FaultyFileSystem files;
  std::unique_ptr<LogStore> log;
  std::shared_ptr<LogReader> reader;
  ManualJobs jobs;
  RecordedClients clients;
  std::unique_ptr<EventFeed> feed;
  std::uint64_t last = 0;
  std::size_t stored = 0;
};

wire::Error refusal_of(const Answer& answer) {
  const wire::ErrorReply reply = error_of(answer);
  return {reply.code, std::string(reply.message)};
}

// Each event of the log once, in order.
void check_all_seen(const Rig& rig, std::uint64_t session, std::size_t per_entry) {
  const auto seen = rig.seen_by(session);
  REQUIRE(seen.size() == rig.last * per_entry);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    REQUIRE(seen[i] ==
            Position{LogIndex(i / per_entry + 1), static_cast<std::uint32_t>(i % per_entry)});
  }
}

}  // namespace

TEST_CASE("a list of events is bounded by their bytes, not by those of their entries on disk") {
  Rig rig;
  for (int i = 0; i < 20; ++i) rig.append(2, kMiB);
  REQUIRE(rig.stored < kMiB);
  rig.show();
  rig.ask(1);
  rig.run_with_readers({1});
  check_all_seen(rig, 1, 2);
  CHECK(rig.largest() < 5 * kMiB);
}

TEST_CASE("a reply of events ends within an entry, and the next one continues there") {
  Rig rig({.reply_bytes_max = 1000});
  for (int i = 0; i < 7; ++i) rig.append(5, 400);
  rig.show();
  rig.ask(1);
  rig.run_with_readers({1});
  check_all_seen(rig, 1, 5);
  CHECK(rig.largest() < 2000);
}

TEST_CASE("the largest event that can be is sent, alone") {
  Rig rig;
  rig.append(2, wire::kEventSizeMax);
  rig.append(2, wire::kEventSizeMax);
  rig.show();
  rig.ask(1);
  rig.run_with_readers({1});
  check_all_seen(rig, 1, 2);
  CHECK(rig.largest() < wire::kClientFrameBodyMax);
}

TEST_CASE("readers of events that have all stopped hold no more than there is room for") {
  constexpr std::uint64_t kReaders = 200;
  constexpr std::size_t kRoom = 2 * kMiB;
  const std::size_t event_bytes = GENERATE(std::size_t{5000}, kMiB / 8);
  CAPTURE(event_bytes);
  Rig rig({.outgoing_bytes_max = kRoom});
  for (int i = 0; i < 3; ++i) rig.append(2, event_bytes);
  rig.show();
  std::vector<std::uint64_t> readers;
  for (std::uint64_t session = 1; session <= kReaders; ++session) {
    rig.ask(session, true);
    readers.push_back(session);
  }
  rig.run_jobs();
  // One event for each job that was under way may be larger than its share.
  CHECK(rig.clients.outgoing_bytes() <=
        2 * kRoom + EventFeedOptions{}.reads_max * (event_bytes + 1000));
  // When they read again, each gets everything.
  rig.run_with_readers(readers);
  for (const std::uint64_t session : readers) check_all_seen(rig, session, 2);
}

TEST_CASE("the room of a reader that goes away is another one's") {
  Rig rig({.outgoing_bytes_max = 64U << 10, .reads_max = 1});
  for (int i = 0; i < 10; ++i) rig.append(1, 60U << 10);
  rig.show();
  for (const std::uint64_t stopped : {1, 3}) {
    rig.ask(stopped, true);
    rig.run_jobs();
    REQUIRE(rig.seen_by(stopped).size() == 1);
  }
  rig.ask(2);
  rig.run_with_readers({2});
  CHECK(rig.seen_by(2).empty());
  rig.feed->on_session_end(static_cast<SessionId>(1));
  rig.run_with_readers({2});
  CHECK(rig.seen_by(2).size() == 10);
}

TEST_CASE("readers that have stopped fill the room once, and who reads goes on beside them") {
  Rig rig({.outgoing_bytes_max = 64U << 10});
  for (int i = 0; i < 10; ++i) rig.append(1, 30U << 10);
  rig.show();
  for (const std::uint64_t stopped : {1, 3, 4}) rig.ask(stopped, true);
  rig.run_jobs();
  const std::size_t held = rig.clients.outgoing_bytes();
  CHECK(held > 48U << 10);
  rig.ask(2);
  rig.run_with_readers({2});
  check_all_seen(rig, 2, 1);
  // They have got nothing more for it.
  CHECK(rig.clients.outgoing_bytes() == held);
}

TEST_CASE("a list that has ended keeps its room until its client has read it") {
  Rig rig({.outgoing_bytes_max = 64U << 10, .reads_max = 1});
  rig.append(1, 60U << 10);
  rig.show();
  rig.ask(1);
  rig.run_jobs();
  REQUIRE(rig.seen_by(1).size() == 1);
  rig.drain(1);  // the last reply: its end
  rig.ask(3, true);
  rig.run_jobs();
  REQUIRE(rig.seen_by(3).size() == 1);
  rig.ask(1, false, 1);
  rig.run_jobs();
  REQUIRE(rig.seen_by(1).size() == 2);
  rig.ask(2);
  rig.run_with_readers({2});
  CHECK(rig.seen_by(2).empty());
  rig.drain(1);
  rig.run_with_readers({2});
  CHECK(rig.seen_by(2).size() == 1);
}

TEST_CASE("few jobs of feeds are on the pool at a time, and each feed has its turn") {
  Rig rig({.reads_max = 3});
  for (int i = 0; i < 5; ++i) rig.append(1, 100);
  rig.show();
  for (std::uint64_t session = 1; session <= 50; ++session) rig.ask(session);
  CHECK(rig.jobs.waiting.size() == 3);
  std::vector<std::uint64_t> readers;
  for (std::uint64_t session = 1; session <= 50; ++session) readers.push_back(session);
  rig.run_with_readers(readers);
  for (const std::uint64_t session : readers) check_all_seen(rig, session, 1);
}

TEST_CASE("more readers of events than allowed are refused, and one that ends makes room") {
  Rig rig({.feeds_max = 3, .feeds_per_session_max = 2});
  rig.append(1, 100);
  rig.show();
  rig.ask(1, true);
  rig.ask(1, true);
  rig.ask(1, true);
  REQUIRE(rig.clients.answers.size() == 1);
  wire::Error error = refusal_of(rig.clients.answers.back());
  CHECK(error.code == ErrorCode::kOverloaded);
  CHECK(error.message.find("limits.feeds_per_client") != std::string::npos);
  rig.ask(2, true);
  rig.ask(3, true);
  REQUIRE(rig.clients.answers.size() == 2);
  error = refusal_of(rig.clients.answers.back());
  CHECK(error.code == ErrorCode::kOverloaded);
  CHECK(error.message.find("limits.feeds)") != std::string::npos);
  CHECK(rig.feed->overloaded() == 2);
  rig.feed->on_session_end(static_cast<SessionId>(1));
  rig.ask(3, true);
  rig.run_with_readers({2, 3});
  CHECK(rig.clients.answers.back().kind == FrameKind::kEventsReply);
}

TEST_CASE("who follows is told once that there is nothing more yet") {
  Rig rig;
  rig.ask(1, true);
  REQUIRE(rig.clients.answers.size() == 1);
  const auto reply = wire::decode_events_reply(rig.clients.answers[0].body);
  REQUIRE(reply);
  CHECK(reply->events.empty());
  CHECK_FALSE(reply->end);
  CHECK(reply->next == Position{LogIndex(1), 0});
  rig.append(1, 100);
  rig.show();
  rig.run_with_readers({1});
  CHECK(rig.clients.answers.size() == 2);
  check_all_seen(rig, 1, 1);
}
