#include "cli/client/node_finder.h"

#include <algorithm>
#include <utility>

namespace bib::cli {
namespace {

using std::chrono::milliseconds;
using wire::ErrorCode;

constexpr milliseconds kPauseMin{5};
constexpr milliseconds kPauseMax{250};
constexpr int kPauseShare = 8;
// How long a node may take to answer before the next one is asked beside it.
constexpr milliseconds kStagger{50};
constexpr std::size_t kCandidatesMax = 64;
constexpr int kDetoursMax = 3;

// Why `server`, which does not lead, sends the client to `leader`, and that is no use.
std::string no_leader_text(const ServerInfo& server, const std::string& leader) {
  std::string text =
      fmt::format("{} knows no leader that can be reached", to_string(server.address));
  if (leader.empty()) return text;
  // The leader has told the others an address that leads to somebody else: who looks for the leader
  // there always meets the wrong node.
  const auto address = parse_server_address(leader);
  if (address && *address == server.address) {
    return text + fmt::format(
                      ": it names {}, but node {} answers there and not {}, which leads; correct "
                      "api.advertise_addr in the leader's configuration",
                      leader, wire::to_string(server.node), wire::to_string(server.leader));
  }
  return text + " (it names " + leader + ")";
}

}  // namespace

NodeFinder::NodeFinder(Options options) : options_(std::move(options)) {
  for (const ServerAddress& server : options_.servers) candidates_.push_back({server, {}});
}

NodeFinder::Candidate& NodeFinder::candidate(const ServerAddress& address) {
  for (Candidate& known : candidates_) {
    if (known.address == address) return known;
  }
  return candidates_.emplace_back(Candidate{address, {}});
}

bool NodeFinder::is_under_way(const ServerAddress& address) const {
  return std::any_of(under_way_.begin(), under_way_.end(),
                     [&](const auto& greeting) { return greeting->address() == address; });
}

// ---- what the client learns elsewhere

void NodeFinder::suggest(std::string_view api_address) {
  auto address = parse_server_address(api_address);
  if (!address || (address->socket_path.empty() && wire::is_wildcard(address->tcp.host))) return;
  if (candidates_.size() < kCandidatesMax) candidate(*address);
  if (besides_ != *address && !is_under_way(*address)) suggested_ = std::move(*address);
}

void NodeFinder::step_back() {
  besides_.reset();
  if (!suggested_ && next_ >= candidates_.size()) pause();
}

void NodeFinder::search_besides(const Connection* current) {
  if (current == nullptr) {
    besides_.reset();
    under_way_.clear();
    searching_since_.reset();
    return;
  }
  besides_ = current->address();
  suggested_.reset();
  next_ = 0;
  start_next_at_ = Clock::now();
  searching_since_ = start_next_at_;
}

void NodeFinder::settled() {
  detours_ = 0;
  searching_since_.reset();
  problem_.reset();
}

bool NodeFinder::unreachable() const {
  return !server_ && std::all_of(candidates_.begin(), candidates_.end(),
                                 [](const Candidate& known) { return !known.failure.empty(); });
}

void NodeFinder::start_over() {
  under_way_.clear();
  suggested_.reset();
  settled();
  next_ = 0;
  start_next_at_ = Clock::now();
  for (Candidate& known : candidates_) known.failure.clear();
}

// ---- searching

std::unique_ptr<Connection> NodeFinder::search(Clock::time_point deadline) {
  const std::uint64_t pauses = pauses_;
  for (;;) {
    if (auto found = turn()) return found;
    if (unreachable() || (pauses_ != pauses && under_way_.empty())) return nullptr;
    const Clock::time_point now = Clock::now();
    if (now >= deadline) return nullptr;
    std::vector<pollfd> items;
    append_polls(items);
    ::poll(items.data(), items.size(), poll_timeout(std::min(deadline, wake_up_at())));
  }
}

std::unique_ptr<Connection> NodeFinder::turn() {
  const Clock::time_point now = Clock::now();
  if (!searching_since_) searching_since_ = now;
  start_due(now);
  return advance(now);
}

void NodeFinder::append_polls(std::vector<pollfd>& items) const {
  for (const auto& greeting : under_way_) items.push_back({greeting->fd(), greeting->events(), 0});
}

Clock::time_point NodeFinder::wake_up_at() const {
  Clock::time_point at = start_next_at_;
  if (suggested_) at = Clock::now();
  for (const auto& greeting : under_way_) {
    at = std::min(at, greeting->begun() + options_.try_timeout);
  }
  return at;
}

// A suggestion is followed at once, unless nodes send us in circles. Otherwise one after another,
// without waiting long for an answer; after the last one of a round it is time for a pause.
void NodeFinder::start_due(Clock::time_point now) {
  while (suggested_ || now >= start_next_at_) {
    const auto address = next_address();
    if (!address) return pause();
    start_next_at_ = now + kStagger;
    start(*address);
  }
}

std::optional<ServerAddress> NodeFinder::next_address() {
  if (suggested_) {
    auto address = std::exchange(suggested_, std::nullopt);
    if (++detours_ <= kDetoursMax) return address;
    detours_ = 0;
    return std::nullopt;
  }
  while (next_ < candidates_.size()) {
    const ServerAddress& address = candidates_[next_++].address;
    if (besides_ != address && !is_under_way(address)) return address;
  }
  return std::nullopt;
}

void NodeFinder::start(const ServerAddress& address) {
  auto greeting = Greeting::start(address, options_.client);
  if (!greeting) return failed(address, greeting.error());
  under_way_.push_back(std::move(*greeting));
}

void NodeFinder::failed(const ServerAddress& address, wire::Error error) {
  candidate(address).failure = error.message;
  // Nodes that could be reached and know no leader say more than one that could not.
  if (!problem_ || problem_->code != ErrorCode::kNoQuorum) problem_ = std::move(error);
  start_next_at_ = Clock::now();
}

std::unique_ptr<Connection> NodeFinder::advance(Clock::time_point now) {
  for (std::size_t i = 0; i < under_way_.size();) {
    Greeting& greeting = *under_way_[i];
    const auto answer = greeting.advance();
    if (answer && !*answer && now < greeting.begun() + options_.try_timeout) {
      ++i;
      continue;
    }
    // Finished, one way or the other.
    const std::unique_ptr<Greeting> finished = std::move(under_way_[i]);
    under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(i));
    if (!answer) {
      failed(finished->address(), answer.error());
    } else if (!*answer) {
      failed(finished->address(), {ErrorCode::kTimeout, "no answer in time"});
    } else if (auto found = greeted(*finished, std::move(**answer))) {
      under_way_.clear();
      besides_.reset();
      return found;
    }
  }
  return nullptr;
}

std::unique_ptr<Connection> NodeFinder::greeted(Greeting& greeting, ServerInfo server) {
  if (server_ && server_->cluster != server.cluster) {
    failed(server.address,
           {ErrorCode::kUnsupported,
            fmt::format("another cluster ({}) answers there", server.cluster_name)});
    return nullptr;
  }
  learn(server);
  candidate(server.address).failure.clear();
  start_next_at_ = Clock::now();
  // A leader that was deposed and does not know it yet is not a leader.
  const bool is_outdated = server.term < term_;
  term_ = std::max(term_, server.term);
  // Under another address it is still the node that does not answer.
  if (besides_ && server_->node == server.node) return nullptr;
  if (!options_.to_leader || (server.is_leader() && !is_outdated)) {
    server_ = std::move(server);
    return greeting.take_connection();
  }
  const std::string leader = is_outdated ? std::string() : server.leader_api_address;
  problem_ = wire::Error{ErrorCode::kNoQuorum, no_leader_text(server, leader)};
  suggest(leader);
  if (!server_) server_ = std::move(server);
  return nullptr;
}

void NodeFinder::learn(const ServerInfo& server) {
  for (const MemberAddress& member : server.members) {
    const auto address = parse_server_address(member.api_address);
    if (address && candidates_.size() < kCandidatesMax) candidate(*address);
  }
}

void NodeFinder::pause() {
  const Clock::time_point now = Clock::now();
  ++pauses_;
  next_ = 0;
  const auto since = now - searching_since_.value_or(now);
  start_next_at_ = now + std::clamp<Clock::duration>(since / kPauseShare, kPauseMin, kPauseMax);
}

std::string NodeFinder::failures() const {
  std::vector<std::string> lines;
  for (const Candidate& known : candidates_) {
    if (!known.failure.empty()) {
      lines.push_back(fmt::format("{}: {}", to_string(known.address), known.failure));
    }
  }
  return fmt::format("{}", fmt::join(lines, "; "));
}

}  // namespace bib::cli
