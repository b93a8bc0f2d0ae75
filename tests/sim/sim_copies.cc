#include "sim_copies.h"

#include <algorithm>
#include <utility>

#include "violation.h"

namespace bib::sim {

using engine::Claims;

namespace {

// Boot ids of the nodes are small numbers.
constexpr std::uint64_t kFirstBoot = std::uint64_t{1} << 40;
// Probes that a node has answered for a copy of it to be out of the question.
constexpr unsigned kAllAlong = 10;
// Claims remembers so many runs of a node that none of these is forgotten while it lives.
constexpr std::ptrdiff_t kCopiesMax = 2;

}  // namespace

void SimCopies::start(NodeIndex of) {
  const auto alive = std::count_if(copies_.begin(), copies_.end(),
                                   [&](const auto& one) { return one.second.of == of; });
  if (alive >= kCopiesMax) return;
  Copy copy;
  copy.of = of;
  copy.boot = wire::BootId(kFirstBoot + next_);
  copy.address = random_.below(3) == 0 ? peer_address(of) : "elsewhere:1";
  copy.ends = queue_.now() + random_.between(kSecond, 3 * kSecond);
  trace_.line("", "a copy of n{} starts at {}", of + 1, copy.address);
  copies_.emplace(next_, std::move(copy));
  queue_.after(random_.below(100 * kMillisecond), *this, 0, next_++);
}

void SimCopies::on_event(std::uint32_t, std::uint64_t argument) {
  const auto found = copies_.find(argument);
  if (found == copies_.end()) return;
  if (queue_.now() >= found->second.ends) {
    copies_.erase(found);
    return;
  }
  for (NodeIndex node = 0; node < network_.size(); ++node) {
    if (node != found->second.of && network_.takes_greetings(node)) greet(found->second, node);
  }
  queue_.after(random_.between(50 * kMillisecond, 500 * kMillisecond), *this, 0, argument);
}

void SimCopies::greet(Copy& copy, NodeIndex node) {
  SimNetwork::Host& host = network_.host(node);
  Greeting& greeting = copy.greeted[node];
  if (greeting.by != host.boot()) greeting = {host.boot(), queue_.now()};
  wire::PeerHello hello;
  hello.from = id_of(copy.of);
  hello.boot = copy.boot;
  hello.raft_address = copy.address;
  const bool says_it_is_there = copy.address == peer_address(copy.of);
  const bool answers_all_along =
      network_.answers(node, copy.of) && host.answered_in_a_row(copy.of) >= kAllAlong;
  const Time made_at = network_.made_at(node, copy.of);
  const Claims::Verdict verdict = host.judge(hello);
  trace_.note(node, copy.of, static_cast<int>(verdict), copy.boot.value());
  switch (verdict) {
    case Claims::Verdict::kNotYet:
      return;
    case Claims::Verdict::kTwice:
      if (network_.ran_after(copy.of, network_.reached(node, copy.of), greeting.first)) return;
      violated("copies", "n{} says that n{} runs twice, and it has not run since the other greeted",
               node + 1, copy.of + 1);
    case Claims::Verdict::kWelcome:
      break;
  }
  const bool may_be_restarted = says_it_is_there && made_at <= greeting.first;
  if (!may_be_restarted && answers_all_along) {
    violated("copies", "n{} lets in a copy of n{}, which has answered it all along", node + 1,
             copy.of + 1);
  }
  trace_.line(fmt::format("n{}", node + 1), "lets in a copy of n{}", copy.of + 1);
  network_.give_place(copy.of, node, says_it_is_there);
}

}  // namespace bib::sim
