// Exactly once: repeated, reused, late, forgotten and expired requests.
#include "projections/rules/sessions.h"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <deque>
#include <string>

#include "machine.h"
#include "projections/rules/session_sweep.h"
#include "projections/state/keys.h"

namespace bib::projections {
namespace {

using wire::ErrorCode;
using wire::SetConfig;

struct World {
  MemoryStore store;
  Machine machine{store};
};

std::uint64_t session_rows(const Machine& machine) {
  return machine.projector->mark().digests[family_index(Family::kSessions)].rows;
}
Request request(std::uint64_t sequence, std::uint64_t acknowledged_below = 0,
                std::uint8_t client = 1) {
  return {client, sequence, acknowledged_below, std::nullopt};
}

TEST_CASE("a repeated request gets the first answer and changes nothing") {
  World world;
  auto& machine = world.machine;
  const auto first = machine.ask(SetConfig{"k", "1"}, request(1));
  machine.ask(SetConfig{"k", "2"}, request(2));
  const auto reply = answered(machine.ask(SetConfig{"k", "1"}, request(1)));
  CHECK(reply.replayed);
  CHECK_FALSE(reply.unchanged);
  CHECK(reply.position == accepted(first).position);
  CHECK(reply.revision == accepted(first).revision);
  CHECK(machine.row<wire::ConfigRow>(wire::QueryTable::kConfig, "k")->value == "2");
}

TEST_CASE("another command under a used sequence is refused") {
  World world;
  auto& machine = world.machine;
  machine.ask(SetConfig{"k", "1"}, request(1));
  refused(machine.ask(SetConfig{"k", "2"}, request(1)), ErrorCode::kRequestReused);
  // The expected revision is part of the command.
  Request other = request(1);
  other.expected_revision = 0;
  refused(machine.ask(SetConfig{"k", "1"}, other), ErrorCode::kRequestReused);
  // The same sequence of another client is another request.
  accepted(machine.ask(SetConfig{"k", "2"}, request(1, 0, 2)));
}

TEST_CASE("a request that is on its way is joined, not decided again") {
  World world;
  auto& machine = world.machine;
  const auto first = machine.decide(SetConfig{"k", "1"}, request(1));
  const auto check_in_flight = [&] {
    const auto again = machine.decide(SetConfig{"k", "1"}, request(1));
    REQUIRE(std::holds_alternative<InFlight>(again));
    CHECK(std::get<InFlight>(again).position == accepted(first).position);
    refused(machine.decide(SetConfig{"k", "2"}, request(1)), ErrorCode::kRequestReused);
  };
  check_in_flight();
  machine.seal();
  check_in_flight();
  const Applied applied = machine.apply_next();
  CHECK(applied.own);
  REQUIRE(applied.outcomes.size() == 1);
  CHECK(applied.outcomes[0].client == client_id(1));
  CHECK(applied.outcomes[0].sequence.value() == 1);
  CHECK(applied.outcomes[0].position == accepted(first).position);
  CHECK(applied.outcomes[0].revision.value() == 1);
  CHECK(answered(machine.decide(SetConfig{"k", "1"}, request(1))).replayed);
}

TEST_CASE("a command without a client or a sequence is refused") {
  World world;
  wire::Command command;
  command.body = SetConfig{"k", "1"};
  world.machine.begin();
  refused(must(world.machine.projector->decide(command, 1)), ErrorCode::kInvalid);
  command.client = client_id(1);
  refused(must(world.machine.projector->decide(command, 1)), ErrorCode::kInvalid);
}

TEST_CASE("what is refused or changes nothing is not logged and leaves no record") {
  World world;
  auto& machine = world.machine;
  machine.ask(SetConfig{"k", "1"}, request(1));
  CHECK(answered(machine.ask(SetConfig{"k", "1"}, request(2))).unchanged);
  refused(machine.ask(wire::CreateTopic{.path = "/bad"}, request(3)), ErrorCode::kInvalid);
  CHECK(machine.log.size() == 1);
  CHECK(session_rows(machine) == 1);
}

TEST_CASE("acknowledged records go in steps, and late duplicates of them are refused") {
  World world;
  auto& machine = world.machine;
  std::uint64_t most = 0;
  for (std::uint64_t i = 1; i <= 500; ++i) {
    accepted(machine.ask(SetConfig{"k", std::to_string(i)}, request(i, i)));
    most = std::max(most, session_rows(machine));
    if (i % 90 == 0) machine.write_behind();
  }
  CHECK(most <= kForgetMin + 3);
  const auto late = machine.ask(SetConfig{"k", "3"}, request(3, 1));
  CHECK(refused(late, ErrorCode::kRequestReused).error.message.find("late") != std::string::npos);
  CHECK(machine.row<wire::ConfigRow>(wire::QueryTable::kConfig, "k")->value == "500");

  // A node that starts from the rows knows the floor as well.
  machine.write_behind();
  Machine restarted(world.store);
  refused(restarted.ask(SetConfig{"k", "3"}, request(3, 1)), ErrorCode::kRequestReused);
  CHECK(answered(restarted.ask(SetConfig{"k", "500"}, request(500, 500))).replayed);
  accepted(restarted.ask(SetConfig{"k", "501"}, request(501, 501)));
}

TEST_CASE("a late duplicate of a request that was never logged is refused once acknowledged") {
  World world;
  auto& machine = world.machine;
  machine.ask(SetConfig{"k", "1"}, request(1));
  CHECK(answered(machine.ask(SetConfig{"k", "1"}, request(2))).unchanged);
  accepted(machine.ask(SetConfig{"k", "2"}, request(3, 3)));
  refused(machine.ask(SetConfig{"k", "1"}, request(2)), ErrorCode::kRequestReused);
  refused(machine.ask(SetConfig{"k", "1"}, request(1)), ErrorCode::kRequestReused);
  CHECK(answered(machine.ask(SetConfig{"k", "2"}, request(3, 3))).replayed);
}

TEST_CASE("what was refused is not carried out when it comes again after its client went on") {
  for (const bool next_is_logged : {false, true}) {
    World world;
    auto& machine = world.machine;
    machine.ask(SetConfig{"k", "1"}, request(1, 0, 2));
    Request first = request(1);
    first.expected_revision = 7;
    refused(machine.ask(SetConfig{"k", "x"}, first), ErrorCode::kRevisionConflict);
    // Until then the client may ask again.
    refused(machine.ask(SetConfig{"k", "x"}, first), ErrorCode::kRevisionConflict);
    if (next_is_logged) {
      accepted(machine.ask(SetConfig{"other", "1"}, request(2, 2)));
    } else {
      CHECK(answered(machine.ask(SetConfig{"k", "1"}, request(2, 2))).unchanged);
    }
    for (std::uint64_t i = 2; i <= 7; ++i) {
      accepted(machine.ask(SetConfig{"k", std::to_string(i)}, request(i, 0, 2)));
    }
    refused(machine.ask(SetConfig{"k", "x"}, first), ErrorCode::kRequestReused);
    // Nor by a leader that was not there.
    machine.write_behind();
    Machine later(world.store);
    refused(later.ask(SetConfig{"k", "x"}, first), ErrorCode::kRequestReused);
    CHECK(later.row<wire::ConfigRow>(wire::QueryTable::kConfig, "k")->value == "7");
  }
}

TEST_CASE("a client that is only refused leaves marks, which go like records and are no answers") {
  World world;
  auto& machine = world.machine;
  machine.ask(SetConfig{"k", "1"}, request(1, 0, 2));
  std::uint64_t most = 0;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    CHECK(answered(machine.ask(SetConfig{"k", "1"}, request(i, i))).unchanged);
    most = std::max(most, session_rows(machine));
  }
  CHECK(machine.log.size() == 100);  // the other client's write, and one for each but the first
  CHECK(most <= kForgetMin + 4);
  // The same request once more leaves nothing new.
  CHECK(answered(machine.ask(SetConfig{"k", "1"}, request(100, 100))).unchanged);
  CHECK(machine.log.size() == 100);

  MemoryStore store;
  const auto follower = must(Projector::open(store));
  for (std::size_t i = 0; i < machine.log.size(); ++i) {
    const Applied applied = must(follower->apply(machine.log[i]));
    CHECK(applied.outcomes.size() == (i == 0 ? 1 : 0));
  }
  CHECK(follower->mark() == machine.projector->mark());
}

TEST_CASE("gaps in a client's records are known, and closed by its floor") {
  using wire::RequestSequence;
  ClientTable clients;
  wire::Origin origin{client_id(1), RequestSequence(1), 5, {}, {}};
  const auto record = [&](std::uint64_t sequence, std::uint64_t floor = 0) {
    origin.sequence = RequestSequence(sequence);
    origin.forget_from = origin.forget_to = RequestSequence(floor);
    clients.record(origin, wire::LogIndex(1), true);
  };
  const auto has_gap = [&](std::uint64_t below) {
    return has_gap_below(clients.find(client_id(1)), RequestSequence(below));
  };
  CHECK_FALSE(has_gap(1));
  CHECK(has_gap(2));
  record(1);
  record(2);
  CHECK_FALSE(has_gap(3));
  CHECK(has_gap(4));
  record(4);
  record(5);
  CHECK_FALSE(has_gap(3));
  CHECK(has_gap(4));
  CHECK(has_gap(6));
  record(6, 4);
  CHECK_FALSE(has_gap(7));
  // What was dropped may have left gaps that nobody has counted.
  record(7);
  clients.roll_back(client_id(1), RequestSequence(4));
  CHECK_FALSE(has_gap(4));
  CHECK(has_gap(5));
}

TEST_CASE("requests that arrive out of order are all executed once") {
  World world;
  auto& machine = world.machine;
  for (const std::uint64_t sequence : {5, 2, 4, 1, 3}) {
    accepted(machine.ask(SetConfig{"k", std::to_string(sequence)}, request(sequence)));
  }
  for (const std::uint64_t sequence : {1, 2, 3, 4, 5}) {
    CHECK(answered(machine.ask(SetConfig{"k", std::to_string(sequence)}, request(sequence)))
              .replayed);
  }
}

TEST_CASE("the range to forget is bounded, skips what holds no record, and believes no nonsense") {
  using wire::RequestSequence;
  const auto range = [](ClientState state, std::uint64_t sequence, std::uint64_t acknowledged) {
    const ForgetRange found =
        forget_range(&state, RequestSequence(sequence), RequestSequence(acknowledged));
    return std::pair(found.from.value(), found.to.value());
  };
  using Pair = std::pair<std::uint64_t, std::uint64_t>;
  ClientState state;
  state.smallest = RequestSequence(1);
  state.largest = RequestSequence(5000);
  CHECK(range(state, 5001, kForgetMin - 1) == Pair{0, 0});
  CHECK(range(state, 5001, kForgetMin) == Pair{1, kForgetMin});
  CHECK(range(state, 5001, 5001) == Pair{1, 1 + kForgetMax});
  // Acknowledging what was not even asked yet.
  CHECK(range(state, 100, ~std::uint64_t{0}) == Pair{1, 100});
  state.floor = RequestSequence(4000);
  state.smallest = RequestSequence(4000);
  CHECK(range(state, 5001, 4010) == Pair{0, 0});
  CHECK(range(state, 5001, 3000) == Pair{0, 0});
  CHECK(range(state, 5001, 5001) == Pair{4000, 5001});
  // A far jump: only the floor moves.
  state.smallest = RequestSequence(1'000'000'000);
  CHECK(range(state, 2'000'000'000, 1'000'000'000) == Pair{1'000'000'000, 1'000'000'000});
  const ForgetRange unknown = forget_range(nullptr, RequestSequence(9000), RequestSequence(9000));
  CHECK(unknown.from == unknown.to);
  CHECK(unknown.to.value() == 9000);
}

// A pass to count, and one to find.
ExpiredSessions expired(Machine& machine, wire::LogIndex old_to, std::size_t records_max,
                        std::size_t found_max = 1000) {
  const QueryView view = must(machine.projector->view());
  SessionSweep sweep;
  const wire::LogIndex now = machine.next_index();
  CHECK_FALSE(must(sweep.look(view.state(), {{}, now, records_max, 1000, 10'000})).more);
  return must(sweep.look(view.state(), {old_to, now, records_max, found_max, 10'000}));
}
bool expire(Machine& machine, const ExpiredSessions& what) {
  machine.begin();
  const bool logged = must(machine.projector->expire_sessions(what));
  machine.settle();
  return logged;
}

TEST_CASE("records expire by age, and a client's floor with its last record") {
  World world;
  auto& machine = world.machine;
  for (std::uint64_t i = 1; i <= 40; ++i) {
    machine.ask(SetConfig{"k", std::to_string(i)}, request(i, i));
  }
  const wire::LogIndex middle = machine.projector->applied_index();
  machine.ask(SetConfig{"k", "x"}, request(1, 0, 2));
  const auto old = expired(machine, middle, 1000);
  CHECK(old.finished == std::vector{client_id(1)});
  CHECK(expire(machine, old));
  CHECK(session_rows(machine) == 1);
  CHECK(answered(machine.ask(SetConfig{"k", "x"}, request(1, 0, 2))).replayed);
  // Beyond the retention nothing is known: this is the documented end of the promise.
  accepted(machine.ask(SetConfig{"k", "1"}, request(1, 1)));
  CHECK(expire(machine, expired(machine, machine.next_index(), 1000)));
  CHECK(session_rows(machine) == 0);
  CHECK_FALSE(expire(machine, expired(machine, machine.next_index(), 1000)));
}

TEST_CASE("records beyond the number expire, the oldest first, in portions") {
  World world;
  auto& machine = world.machine;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    machine.ask(SetConfig{"k", std::to_string(i)}, request(1, 0, static_cast<std::uint8_t>(i)));
  }
  auto portion = expired(machine, {}, 40, 50);
  CHECK(portion.more);
  while (!portion.records.empty()) {
    expire(machine, portion);
    portion = expired(machine, {}, 40, 50);
  }
  CHECK(session_rows(machine) == 40);
  CHECK(answered(machine.ask(SetConfig{"k", "61"}, request(1, 0, 61))).replayed);
  accepted(machine.ask(SetConfig{"k", "60"}, request(1, 0, 60)));
}

TEST_CASE("a sweep looks at so many rows at a time, and begins again at the end") {
  World world;
  auto& machine = world.machine;
  for (std::uint64_t i = 1; i <= 60; ++i) {
    machine.ask(SetConfig{"k", std::to_string(i)}, request(i, 0, static_cast<std::uint8_t>(i % 7)));
  }
  const QueryView view = must(machine.projector->view());
  SessionSweep sweep;
  for (int pass = 0; pass < 2; ++pass) {
    std::size_t looks = 0;
    std::size_t found = 0;
    std::size_t finished = 0;
    ExpiredSessions part;
    do {
      part = must(sweep.look(view.state(), {machine.next_index(), {}, 1000, 1000, 10}));
      CHECK(part.records.size() <= 10);
      found += part.records.size();
      finished += part.finished.size();
      ++looks;
    } while (part.more);
    CHECK(found == 60);
    CHECK(looks == 6);
    CHECK(finished < 7);  // not those that a look ended within: the next pass has them
  }
}

TEST_CASE("floors count among what is too much, and the records of their clients go for it") {
  World world;
  auto& machine = world.machine;
  for (std::uint8_t client = 1; client <= 50; ++client) {
    machine.ask(SetConfig{"k", std::to_string(client)}, request(100, 100, client));
  }
  CHECK(session_rows(machine) == 100);
  for (int pass = 0; pass < 20; ++pass) expire(machine, expired(machine, {}, 60));
  CHECK(session_rows(machine) <= 60);
  CHECK(session_rows(machine) >= 40);
}

TEST_CASE("records that are too many stay as long as they are young") {
  World world;
  auto& machine = world.machine;
  for (std::uint64_t i = 1; i <= 50; ++i) {
    machine.ask(SetConfig{"k", std::to_string(i)}, request(1, 0, static_cast<std::uint8_t>(i)));
  }
  const QueryView view = must(machine.projector->view());
  SessionSweep sweep;
  const wire::LogIndex spare_to(20);
  CHECK(must(sweep.look(view.state(), {{}, spare_to, 10, 1000, 1000})).too_many);
  const auto found = must(sweep.look(view.state(), {{}, spare_to, 10, 1000, 1000}));
  CHECK(found.records.size() == 20);
}

TEST_CASE("at the limit of records new clients are refused and known ones go on") {
  World world;
  auto& machine = world.machine;
  const SessionBounds bounds{4, 10};
  std::deque<wire::Bytes> bodies;
  const auto decide = [&](std::uint8_t client, std::uint64_t sequence, std::uint64_t acknowledged) {
    wire::Command command;
    command.client = client_id(client);
    command.sequence = wire::RequestSequence(sequence);
    command.acknowledged_below = wire::RequestSequence(acknowledged);
    const std::string value = fmt::format("{} of {}", sequence, client);
    command.body = SetConfig{"k", value};
    wire::ClientEncoder encoder;
    bodies.push_back(wire::Bytes::copy_of(encoder.encode(command)));
    machine.begin();
    return must(machine.projector->decide(must(wire::decode_command(bodies.back().view())),
                                          machine.now_us, bounds));
  };
  // Those on their way count.
  for (std::uint8_t client = 1; client <= 4; ++client) accepted(decide(client, 1, 1));
  const auto full = refused(decide(5, 1, 1), ErrorCode::kOverloaded);
  CHECK(full.error.message.find("limits.sessions_max is 4") != std::string::npos);
  machine.settle();
  refused(decide(5, 1, 1), ErrorCode::kOverloaded);
  for (std::uint64_t i = 2; i <= 30; ++i) accepted(decide(1, i, i));
  machine.settle();
  // One that never acknowledges is told to.
  for (std::uint64_t i = 2; i <= 10; ++i) accepted(decide(2, i, 0));
  const auto beyond = refused(decide(2, 11, 0), ErrorCode::kRefused);
  CHECK(beyond.error.message.find("limits.session_window is 10") != std::string::npos);
  accepted(decide(2, 11, 5));
  machine.settle();
  // A repeat is answered whatever the bounds say.
  CHECK(answered(decide(3, 1, 1)).replayed);
  CHECK(expire(machine, expired(machine, machine.next_index(), 1000)));
  accepted(decide(5, 1, 1));
}

TEST_CASE("a client that came back while its expiry was under way keeps its floor and is known") {
  World world;
  auto& machine = world.machine;
  for (std::uint64_t i = 1; i <= 40; ++i) {
    machine.ask(SetConfig{"k", std::to_string(i)}, request(i, i));
  }
  const auto all = expired(machine, machine.next_index(), 1000);
  // In the same turn, and before.
  accepted(machine.decide(SetConfig{"k", "41"}, request(41, 41)));
  CHECK(expire(machine, all));
  CHECK(answered(machine.ask(SetConfig{"k", "41"}, request(41, 41))).replayed);
  refused(machine.ask(SetConfig{"k", "3"}, request(3)), ErrorCode::kRequestReused);

  // After the expiry was decided, but before it is applied.
  const auto rest = expired(machine, machine.next_index(), 1000);
  machine.begin();
  REQUIRE(must(machine.projector->expire_sessions(rest)));
  machine.seal();
  accepted(machine.decide(SetConfig{"k", "42"}, request(42, 42)));
  machine.settle();
  CHECK(answered(machine.ask(SetConfig{"k", "42"}, request(42, 42))).replayed);
}

TEST_CASE("what a leader lost is asked again and executed once, whichever way it went") {
  for (const bool committed : {false, true}) {
    World world;
    auto& machine = world.machine;
    for (std::uint64_t i = 1; i <= 30; ++i) {
      machine.ask(SetConfig{"k", std::to_string(i)}, request(i, i));
    }
    accepted(machine.decide(SetConfig{"k", "31"}, request(31, 31)));
    accepted(machine.decide(SetConfig{"n", "1"}, request(1, 0, 2)));
    machine.seal();
    accepted(machine.decide(SetConfig{"k", "32"}, request(32, 31)));
    must(machine.projector->drop_pending());
    CHECK_FALSE(machine.projector->has_open_batch());
    if (!committed) machine.truncate(machine.projector->applied_index() + 1);
    machine.apply_all();
    machine.term = wire::Term(2);
    const auto again = machine.ask(SetConfig{"k", "31"}, request(31, 31));
    const auto other = machine.ask(SetConfig{"n", "1"}, request(1, 0, 2));
    if (committed) {
      CHECK(answered(again).replayed);
      CHECK(answered(other).replayed);
    } else {
      accepted(again);
      accepted(other);
    }
    accepted(machine.ask(SetConfig{"k", "32"}, request(32, 31)));
    // Whatever was dropped: the digests are those of the rows, and forgetting goes on.
    for (std::uint64_t i = 33; i <= 100; ++i) {
      machine.ask(SetConfig{"k", std::to_string(i)}, request(i, i));
    }
    CHECK(session_rows(machine) <= kForgetMin + 4);
    machine.write_behind();
    must(verify_state(*world.store.view()));
  }
}

}  // namespace
}  // namespace bib::projections
