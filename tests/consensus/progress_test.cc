#include "consensus/progress.h"

#include <catch2/catch.hpp>

namespace bib::consensus {

namespace {

using wire::LogIndex;

Progress replicating(std::uint64_t match, std::uint64_t next) {
  Progress peer;
  peer.match = LogIndex(match);
  peer.become_replicate();
  for (std::uint64_t i = match + 1; i < next; ++i) peer.in_flight.add(LogIndex(i), 10);
  peer.next = LogIndex(next);
  return peer;
}

}  // namespace

TEST_CASE("Both limits hold what is in flight") {
  Progress peer = replicating(0, 4);
  CHECK(peer.in_flight.count() == 3);
  CHECK(peer.in_flight.bytes() == 30);
  CHECK_FALSE(peer.may_send({.messages_max = 3, .bytes_max = 1000}));
  CHECK_FALSE(peer.may_send({.messages_max = 9, .bytes_max = 30}));
  CHECK(peer.may_send({.messages_max = 9, .bytes_max = 31}));
  peer.acknowledge(LogIndex(2));
  CHECK(peer.in_flight.count() == 1);
  CHECK(peer.in_flight.oldest() == LogIndex(3));
}

TEST_CASE("A stale refusal changes nothing, and none lowers match") {
  Progress peer = replicating(5, 10);
  CHECK_FALSE(peer.reject(LogIndex(5), LogIndex(3)));
  CHECK_FALSE(peer.reject(LogIndex(3), LogIndex(1)));
  CHECK(peer.state == ProgressState::kReplicate);
  CHECK(peer.reject(LogIndex(8), LogIndex(2)));
  CHECK(peer.state == ProgressState::kProbe);
  CHECK(peer.match == LogIndex(5));
  CHECK(peer.next == LogIndex(6));
  // The rest of the pipeline is refused, too.
  CHECK_FALSE(peer.reject(LogIndex(9), LogIndex(2)));
  CHECK(peer.next == LogIndex(6));
}

TEST_CASE("Each refused probe goes further back") {
  Progress peer;
  peer.next = LogIndex(10);
  peer.paused = true;
  CHECK(peer.reject(LogIndex(9), LogIndex(20)));
  CHECK(peer.next == LogIndex(9));
  CHECK_FALSE(peer.paused);
  CHECK(peer.reject(LogIndex(8), LogIndex(0)));
  CHECK(peer.next == LogIndex(1));
}

TEST_CASE("After a snapshot the probe begins after it") {
  Progress peer;
  peer.next = LogIndex(3);
  peer.become_snapshot();
  CHECK_FALSE(peer.may_send({}));
  CHECK_FALSE(peer.reject(LogIndex(2), LogIndex(1)));
  peer.snapshot_index = LogIndex(40);
  peer.become_probe();
  CHECK(peer.next == LogIndex(41));
}

TEST_CASE("What has not left is taken back, and is sent again from there") {
  Progress peer = replicating(2, 9);
  peer.take_back(LogIndex(6));
  CHECK(peer.next == LogIndex(6));
  CHECK(peer.in_flight.count() == 3);
  CHECK(peer.in_flight.bytes() == 30);
  peer.take_back(LogIndex(6));  // it is news once
  CHECK(peer.next == LogIndex(6));
  CHECK(peer.in_flight.count() == 3);
}

TEST_CASE("What is taken back from below what the peer has is sent from after that") {
  Progress peer = replicating(2, 9);
  peer.take_back(LogIndex(1));  // more may be missing than the first of it
  CHECK(peer.next == LogIndex(3));
  CHECK(peer.in_flight.count() == 0);
}

TEST_CASE("A probe that has not left is asked again, but not of a peer out of reach") {
  Progress peer;
  peer.next = LogIndex(7);
  peer.paused = true;
  peer.take_back(LogIndex(6));
  CHECK(peer.paused);
  peer.unreachable = true;
  peer.take_back(LogIndex(7));
  CHECK(peer.paused);
  peer.unreachable = false;
  peer.take_back(LogIndex(7));
  CHECK_FALSE(peer.paused);
}

}  // namespace bib::consensus
