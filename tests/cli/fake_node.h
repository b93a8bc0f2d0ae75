// FakeNode: a node's client API over a real socket, with answers that the test chooses.
//
// Listens on 127.0.0.1 and serves all its connections on a thread of its own, which calls the
// test's handler. What it received is kept for the test to look at; members may be changed at any
// time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cli/client/address.h"
#include "cli/client/client.h"
#include "wire/base/frame.h"
#include "wire/client/client_message.h"

namespace bib::test {

struct Received {
  wire::FrameKind kind;
  std::uint64_t id = 0;
  std::vector<std::uint8_t> body;
};

// What to do with one request.
struct Answer {
  enum class What { kReply, kSilence, kDrop };
  What what = What::kReply;
  wire::FrameKind kind = wire::FrameKind::kCommandReply;
  std::vector<std::uint8_t> body;
  bool drop_after = false;  // kReply: and then the connection
};

Answer accepted(std::uint64_t revision = 1, bool unchanged = false);
Answer refused(wire::ErrorCode code, const std::string& message,
               const std::string& leader_api_address = {});
Answer silence();
Answer dropped();
Answer reply(wire::FrameKind kind, wire::ByteView body);

class FakeNode {
 public:
  using Handler = std::function<Answer(const Received&)>;

  explicit FakeNode(
      std::uint64_t id, Handler handler = [](const Received&) { return accepted(); });
  ~FakeNode();
  FakeNode(const FakeNode&) = delete;
  FakeNode& operator=(const FakeNode&) = delete;

  std::string address() const;  // "127.0.0.1:port"
  cli::ServerAddress server() const;
  wire::NodeId id() const { return wire::NodeId(id_); }

  // What the greeting says; at first this node leads and is the only member.
  void set_leader(wire::NodeId leader, std::string api_address, wire::Term term = {});
  void set_no_leader() { set_leader(wire::NodeId(), ""); }
  void set_members(std::vector<std::string> api_addresses);
  void set_cluster(std::uint8_t first_byte);
  // Sends this instead of a greeting.
  void set_garbage(std::string bytes);

  // Requests without greetings, in order of arrival.
  std::vector<Received> received() const;
  std::size_t greetings() const { return greetings_; }

 private:
  struct Peer;
  void serve();
  bool on_readable(Peer& peer);
  bool on_frame(Peer& peer, const wire::Frame& frame);
  void greet(Peer& peer, std::uint64_t frame_id);

  std::uint64_t id_;
  Handler handler_;
  int listener_ = -1;
  int wake_[2] = {-1, -1};
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Received> received_;
  wire::NodeId leader_;
  std::string leader_address_;
  wire::Term term_;
  std::vector<std::string> members_;
  wire::ClusterId cluster_;
  std::string garbage_;
  std::atomic<std::size_t> greetings_ = 0;
  std::thread thread_;
};

// The request has failed, with an error that says so.
inline bool mentions(const cli::Completion& completion, std::string_view text) {
  return !completion.reply && completion.reply.error().message.find(text) != std::string::npos;
}

}  // namespace bib::test
