#include "fake_node.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <list>
#include <stdexcept>

namespace bib::test {
namespace {

using wire::FrameKind;

void require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(what);
}

std::vector<std::uint8_t> copy(wire::ByteView view) {
  return {view.begin(), view.end()};
}

}  // namespace

Answer reply(FrameKind kind, wire::ByteView body) {
  Answer answer;
  answer.kind = kind;
  answer.body = copy(body);
  return answer;
}

Answer accepted(std::uint64_t revision, bool unchanged) {
  wire::CommandReply message;
  message.position = {wire::LogIndex(unchanged ? 0 : 7), 0};
  message.revision = wire::Revision(revision);
  message.unchanged = unchanged;
  wire::ClientEncoder encoder;
  return reply(FrameKind::kCommandReply, encoder.encode(message));
}

Answer refused(wire::ErrorCode code, const std::string& message,
               const std::string& leader_api_address) {
  wire::ErrorReply error;
  error.code = code;
  error.message = message;
  error.leader_api_address = leader_api_address;
  wire::ClientEncoder encoder;
  return reply(FrameKind::kErrorReply, encoder.encode(error));
}

Answer silence() {
  Answer answer;
  answer.what = Answer::What::kSilence;
  return answer;
}

Answer dropped() {
  Answer answer;
  answer.what = Answer::What::kDrop;
  return answer;
}

struct FakeNode::Peer {
  explicit Peer(int socket) : fd(socket), decoder(wire::kClientFrameBodyMax) {}
  ~Peer() { close(fd); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  bool send_frame(FrameKind kind, std::uint64_t id, wire::ByteView body) {
    std::vector<std::uint8_t> bytes;
    wire::append_frame(bytes, kind, id, body);
    return send_all({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  bool send_all(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  int fd;
  wire::FrameDecoder decoder;
};

FakeNode::FakeNode(std::uint64_t id, Handler handler)
    : id_(id), handler_(std::move(handler)), leader_(id) {
  cluster_.bytes[0] = 1;
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(listener_ >= 0 && pipe(wake_) == 0, "no socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  require(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
  require(listen(listener_, 16) == 0, "listen");
  require(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0, "name");
  port_ = ntohs(address.sin_port);
  leader_address_ = this->address();
  members_ = {this->address()};
  thread_ = std::thread([this] { serve(); });
}

FakeNode::~FakeNode() {
  close(wake_[1]);
  thread_.join();
  close(wake_[0]);
  close(listener_);
}

std::string FakeNode::address() const {
  return fmt::format("127.0.0.1:{}", port_);
}

cli::ServerAddress FakeNode::server() const {
  return {"", {"127.0.0.1", port_}};
}

void FakeNode::set_leader(wire::NodeId leader, std::string api_address, wire::Term term) {
  std::lock_guard lock(mutex_);
  leader_ = leader;
  leader_address_ = std::move(api_address);
  term_ = term;
}

void FakeNode::set_members(std::vector<std::string> api_addresses) {
  std::lock_guard lock(mutex_);
  members_ = std::move(api_addresses);
}

void FakeNode::set_cluster(std::uint8_t first_byte) {
  std::lock_guard lock(mutex_);
  cluster_.bytes[0] = first_byte;
}

void FakeNode::set_garbage(std::string bytes) {
  std::lock_guard lock(mutex_);
  garbage_ = std::move(bytes);
}

std::vector<Received> FakeNode::received() const {
  std::lock_guard lock(mutex_);
  return received_;
}

void FakeNode::serve() {
  std::list<std::unique_ptr<Peer>> peers;
  for (;;) {
    std::vector<pollfd> items = {{wake_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const auto& peer : peers) items.push_back({peer->fd, POLLIN, 0});
    poll(items.data(), items.size(), -1);
    if (items[0].revents != 0) return;
    std::size_t i = 2;
    for (auto peer = peers.begin(); peer != peers.end() && i < items.size(); ++i) {
      bool keep = items[i].revents == 0 || on_readable(**peer);
      peer = keep ? std::next(peer) : peers.erase(peer);
    }
    if (items[1].revents != 0) {
      int fd = accept(listener_, nullptr, nullptr);
      if (fd >= 0) peers.push_back(std::make_unique<Peer>(fd));
    }
  }
}

// False: the connection is over.
bool FakeNode::on_readable(Peer& peer) {
  std::uint8_t bytes[65536];
  ssize_t got = recv(peer.fd, bytes, sizeof bytes, 0);
  if (got <= 0) return false;
  peer.decoder.feed({bytes, static_cast<std::size_t>(got)});
  for (;;) {
    auto frame = peer.decoder.next();
    if (!frame) return false;
    if (!*frame) return true;
    if (!on_frame(peer, **frame)) return false;
  }
}

bool FakeNode::on_frame(Peer& peer, const wire::Frame& frame) {
  if (frame.kind == FrameKind::kClientHello) {
    greet(peer, frame.id);
    return true;
  }
  Received request{frame.kind, frame.id, copy(frame.body.view())};
  {
    std::lock_guard lock(mutex_);
    received_.push_back(request);
  }
  Answer answer = handler_(request);
  switch (answer.what) {
    case Answer::What::kSilence:
      return true;
    case Answer::What::kDrop:
      return false;
    case Answer::What::kReply:
      return peer.send_frame(answer.kind, frame.id, answer.body) && !answer.drop_after;
  }
  return false;
}

void FakeNode::greet(Peer& peer, std::uint64_t frame_id) {
  std::lock_guard lock(mutex_);
  ++greetings_;
  if (!garbage_.empty()) {
    peer.send_all(garbage_);
    return;
  }
  wire::ServerHello hello;
  hello.version = "0.1.0";
  hello.node = id();
  hello.cluster = cluster_;
  hello.cluster_name = "test-cluster";
  hello.leader = leader_;
  hello.leader_api_address = leader_address_;
  hello.term = term_;
  std::uint64_t member_id = 100;
  for (const std::string& member : members_) {
    hello.members.push_back({wire::NodeId(++member_id), "127.0.0.1:1", member, true});
  }
  wire::ClientEncoder encoder;
  peer.send_frame(FrameKind::kServerHello, frame_id, encoder.encode(hello));
}

}  // namespace bib::test
