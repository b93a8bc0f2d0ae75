#include "cli/node_finder.h"

#include <algorithm>
#include <utility>

#include "wire/version.h"

namespace bib::cli {
namespace {

using wire::ErrorCode;

constexpr std::chrono::milliseconds kBackoffMin{10};
constexpr std::chrono::milliseconds kBackoffMax{250};
constexpr std::size_t kCandidatesMax = 64;
constexpr int kDetoursMax = 3;

ServerInfo to_info(const wire::ServerHello& hello, const ServerAddress& address) {
  ServerInfo info;
  info.address = address;
  info.version = hello.version;
  info.node = hello.node;
  info.cluster = hello.cluster;
  info.cluster_name = hello.cluster_name;
  info.leader = hello.leader;
  info.leader_api_address = hello.leader_api_address;
  for (const wire::MemberInfo& member : hello.members)
    info.members.push_back({member.id, std::string(member.raft_address),
                            std::string(member.api_address), member.voter});
  return info;
}

// What is not bib's protocol is no mistake of the user's in an argument: kInvalid would say so.
tl::unexpected<wire::Error> not_our_protocol(const wire::Error& error) {
  return wire::fail(ErrorCode::kUnsupported, "what answers there does not speak bib's protocol: {}",
                    error.message);
}

}  // namespace

wire::Result<ServerInfo> greet(Connection& connection, wire::ClientId client,
                               Clock::time_point deadline) {
  wire::ClientEncoder encoder;
  std::string program = fmt::format("bib {}", wire::version());
  wire::ClientHello hello;
  hello.client = client;
  hello.program = program;
  connection.queue(wire::FrameKind::kClientHello, 0, encoder.encode(hello));
  auto frame = connection.receive_frame(deadline);
  if (!frame && frame.error().code == ErrorCode::kInvalid) return not_our_protocol(frame.error());
  if (!frame) return tl::unexpected(frame.error());
  if (frame->kind == wire::FrameKind::kErrorReply) {
    auto refusal = wire::decode_error_reply(frame->body.view());
    if (!refusal) return not_our_protocol(refusal.error());
    return wire::fail(refusal->code, "{}", refusal->message);
  }
  if (frame->kind != wire::FrameKind::kServerHello)
    return wire::fail(ErrorCode::kUnsupported, "the node answered a greeting with something else");
  auto answer = wire::decode_server_hello(frame->body.view());
  if (!answer) return not_our_protocol(answer.error());
  return to_info(*answer, connection.address());
}

NodeFinder::NodeFinder(Options options) : options_(std::move(options)), backoff_(kBackoffMin) {
  for (const ServerAddress& server : options_.servers) candidates_.push_back({server, {}});
}

NodeFinder::Candidate& NodeFinder::candidate(const ServerAddress& address) {
  for (Candidate& known : candidates_) {
    if (known.address == address) return known;
  }
  return candidates_.emplace_back(Candidate{address, {}});
}

void NodeFinder::suggest(std::string_view api_address) {
  auto address = parse_server_address(api_address);
  if (!address || (address->socket_path.empty() && wire::is_wildcard(address->tcp.host))) return;
  if (candidates_.size() < kCandidatesMax) candidate(*address);
  suggested_ = std::move(*address);
}

void NodeFinder::step_back() {
  end_attempt();
}

void NodeFinder::settled() {
  backoff_ = kBackoffMin;
  detours_ = 0;
}

// A suggestion is followed at once, unless nodes send us in circles; after the last node of a round
// it is time to wait.
void NodeFinder::end_attempt() {
  ready_at_ = Clock::now();
  if (suggested_ && ++detours_ <= kDetoursMax) return;
  if (!suggested_ && next_ < candidates_.size()) return;
  suggested_.reset();
  detours_ = 0;
  if (next_ >= candidates_.size()) {
    next_ = 0;
    ++rounds_;
  }
  ready_at_ += backoff_;
  backoff_ = std::min(backoff_ * 2, kBackoffMax);
}

void NodeFinder::learn(const ServerInfo& server) {
  for (const MemberAddress& member : server.members) {
    auto address = parse_server_address(member.api_address);
    if (address && candidates_.size() < kCandidatesMax) candidate(*address);
  }
}

wire::Result<std::unique_ptr<Connection>> NodeFinder::dial(const ServerAddress& address,
                                                           Clock::time_point deadline) {
  BIB_TRY(auto connection, Connection::open(address, deadline));
  BIB_TRY(ServerInfo server, greet(*connection, options_.client, deadline));
  if (server_ && server_->cluster != server.cluster)
    return wire::fail(ErrorCode::kUnsupported, "another cluster ({}) answers there",
                      server.cluster_name);
  learn(server);
  server_ = std::move(server);
  return connection;
}

wire::Result<std::unique_ptr<Connection>> NodeFinder::attempt(Clock::time_point deadline) {
  ServerAddress address;
  if (suggested_) {
    address = *std::exchange(suggested_, std::nullopt);
  } else {
    if (next_ >= candidates_.size()) next_ = 0;
    if (candidates_.empty()) return wire::fail(ErrorCode::kIo, "no server is named");
    address = candidates_[next_++].address;
  }
  auto connection = dial(address, std::min(deadline, Clock::now() + options_.try_timeout));
  candidate(address).failure = connection ? "" : connection.error().message;
  if (!connection) {
    end_attempt();
    return connection;
  }
  if (!options_.to_leader || server_->leader == server_->node) return connection;
  std::string leader = server_->leader_api_address;
  suggest(leader);
  end_attempt();
  return wire::fail(ErrorCode::kNoQuorum, "{} knows no leader that can be reached{}",
                    to_string(address), leader.empty() ? "" : " (it names " + leader + ")");
}

std::string NodeFinder::failures() const {
  std::vector<std::string> lines;
  for (const Candidate& known : candidates_) {
    if (!known.failure.empty())
      lines.push_back(fmt::format("{}: {}", to_string(known.address), known.failure));
  }
  return fmt::format("{}", fmt::join(lines, "; "));
}

}  // namespace bib::cli
