// What the loop does before it sleeps.
#include "engine/uv/event_loop.h"

#include <catch2/catch.hpp>
#include <functional>
#include <memory>

#include "engine/uv/mailbox.h"

using namespace bib::engine;

namespace {

// A loop whose every turn asks to look before sleeping, woken each millisecond by a timer, until
// `turns` turns are over.
struct LookingLoop {
  EventLoop loop;
  int turns = 0;
  std::unique_ptr<Timer> timer = std::make_unique<Timer>(loop, [] {});
  std::unique_ptr<Mailbox<int>> mailbox = std::make_unique<Mailbox<int>>(loop, 8, [](int&&) {});

  // `on_turn` is called at the end of each turn, with its number.
  void run(int turns_max, const std::function<void(int)>& on_turn) {
    timer->start(1, 1);
    loop.set_turn_handler([&, turns_max] {
      loop.poll_soon();
      on_turn(++turns);
      if (turns < turns_max) return;
      timer.reset();
      mailbox.reset();
      loop.stop();
    });
    REQUIRE(loop.run());
  }
};

}  // namespace

TEST_CASE("event loop: what comes right after a turn is found without sleeping") {
  LookingLoop looking;
  looking.run(100, [&](int turn) {
    if (turn < 100) REQUIRE(looking.mailbox->post(1));
  });
  const EventLoop::PollCounters& counters = looking.loop.poll_counters();
  // In the other turns a timer was due, so that the loop did not sleep anyway.
  CHECK(counters.found > 0);
  CHECK(counters.missed == 0);
  CHECK(counters.skipped == 0);
}

TEST_CASE("event loop: looking in vain is soon given up, and taken up again when it pays") {
  LookingLoop looking;
  EventLoop::PollCounters in_vain;
  constexpr int kInVain = 200;
  looking.run(600, [&](int turn) {
    if (turn == kInVain) in_vain = looking.loop.poll_counters();
    if (turn >= kInVain && turn < 600) REQUIRE(looking.mailbox->post(1));
  });
  CHECK(in_vain.found == 0);
  CHECK(in_vain.missed >= EventLoop::kPollMisses);
  CHECK(in_vain.missed <= EventLoop::kPollMisses + kInVain / EventLoop::kPollRetry + 1);
  CHECK(in_vain.skipped > 0);
  const EventLoop::PollCounters& counters = looking.loop.poll_counters();
  // One turn in kPollRetry tried again, and from then on every one did.
  CHECK(counters.found > 0);
  CHECK(counters.skipped - in_vain.skipped <= EventLoop::kPollRetry);
}

TEST_CASE("event loop: a turn that expects nothing does not look") {
  EventLoop loop;
  int turns = 0;
  auto timer = std::make_unique<Timer>(loop, [] {});
  timer->start(1, 1);
  loop.set_turn_handler([&] {
    if (++turns < 20) return;
    timer.reset();
    loop.stop();
  });
  REQUIRE(loop.run());
  CHECK(loop.poll_counters().found + loop.poll_counters().missed == 0);
  CHECK(loop.poll_counters().skipped == 0);
}
