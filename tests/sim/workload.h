// Workload: clients that send commands and reads to the nodes, repeat them elsewhere when no answer
// comes, and tell the oracle what they were answered.
//
// A client has one request under way, as bytes. A repeat has the same bytes: exactly once. A client
// that gives up does not know what became of its request and goes on under a new client id.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "feeds.h"
#include "sequences.h"
#include "sim_node.h"
#include "wire/client/client_message.h"

namespace bib::sim {

class Workload final : public EventTarget, public Clients {
 public:
  Workload(EventQueue& queue, wire::Prng& random, Trace& trace, const Plan& plan, Oracle& oracle,
           SimNetwork& network);

  void add_node(SimNode& node) {
    nodes_.push_back(&node);
    feeds_.add_node(node);
    sequences_.add_node(node);
  }
  void start();
  // No new requests; those under way go on, without end.
  void heal();
  // One write that must succeed; again for a second one.
  void probe();
  bool is_quiet() const;

  std::uint64_t answered() const { return answered_ + sequences_.answered(); }
  // How this request of somebody who is none of these clients is answered.
  void watch(std::uint64_t request) {
    watched_ = request;
    watched_answer_.reset();
  }
  const std::optional<wire::ErrorCode>& watched_answer() const { return watched_answer_; }

  // ---- Clients
  void on_answer(NodeIndex node, engine::Asker asker, wire::FrameKind kind, wire::ByteView body,
                 bool more) override;
  void on_node_gone(NodeIndex node) override;

  void on_event(std::uint32_t code, std::uint64_t argument) override;

 private:
  enum Code : std::uint32_t { kNext, kArrives, kAnswered, kRetry };
  enum class Kind : std::uint8_t { kSet, kUnset, kOther, kRead };

  struct Client {
    wire::ClientId id;
    std::uint64_t sequence = 0;
    std::uint64_t request = 0;  // number of the one under way; 0: none
    Kind kind = Kind::kSet;
    std::string key;
    std::string value;
    wire::FrameKind frame{};
    std::vector<std::uint8_t> body;
    wire::Command command;  // of the body, without its own
    wire::Consistency consistency = wire::Consistency::kLinearizable;
    Time max_age = 0;
    wire::LogIndex began;
    std::map<NodeIndex, Oracle::Question> questions;  // a read, as it came to each node
    unsigned attempts = 0;
    unsigned attempts_max = 0;
    NodeIndex target = 0;
    wire::Revision last_revision;
  };
  struct Arrival {
    std::size_t client = 0;
    std::uint64_t request = 0;
    NodeIndex node = 0;
    wire::FrameKind kind{};
    std::vector<std::uint8_t> body;
  };
  struct Answer {
    std::size_t client = 0;
    std::uint64_t request = 0;
    NodeIndex node = 0;
    std::uint32_t run = 0;
    wire::FrameKind kind{};
    std::vector<std::uint8_t> body;
  };
  // A slab: what is on its way, by slot.
  template <typename T>
  struct Slots {
    std::vector<T> items;
    std::vector<std::uint32_t> free;
    std::uint32_t add(T&& item) {
      if (free.empty()) {
        items.push_back(std::move(item));
        return static_cast<std::uint32_t>(items.size() - 1);
      }
      const std::uint32_t slot = free.back();
      free.pop_back();
      items[slot] = std::move(item);
      return slot;
    }
    T take(std::uint32_t slot) {
      free.push_back(slot);
      return std::move(items[slot]);
    }
  };

  void new_identity(Client& client);
  void next(std::size_t index);
  void begin(std::size_t index, Kind kind);
  void make_body(Client& client, bool changes_nothing);
  wire::CommandBody other_command();
  std::string_view text(std::string value);
  void send(std::size_t index);
  void arrive(Arrival&& arrival);
  void retry(std::size_t index, NodeIndex target, Time delay);
  void give_up(std::size_t index);
  void finish(std::size_t index);
  void take_answer(Answer&& answer);
  void take_read(const Answer& answer, Client& client);
  void make_query(Client& client);
  void repeat_later(std::size_t index);
  void take_command(const Answer& answer, Client& client);
  void take_error(const Answer& answer, const wire::ErrorReply& error);
  bool is_pinned(std::size_t index) const {
    return index < plan_.work.clients && index >= plan_.work.clients - plan_.work.pinned;
  }
  NodeIndex any_node() { return static_cast<NodeIndex>(random_.below(nodes_.size())); }

  EventQueue& queue_;
  wire::Prng& random_;
  Trace& trace_;
  const Plan& plan_;
  Oracle& oracle_;
  SimNetwork& network_;
  std::vector<SimNode*> nodes_;
  std::vector<Client> clients_;
  Slots<Arrival> arrivals_;
  Slots<Answer> answers_;
  std::deque<std::string> texts_;  // of the command being made
  wire::ClientEncoder encoder_;
  std::uint64_t next_request_ = 1;
  std::uint64_t next_value_ = 1;
  std::uint64_t answered_ = 0;
  std::uint64_t watched_ = 0;
  std::optional<wire::ErrorCode> watched_answer_;
  Feeds feeds_;
  Sequences sequences_;
  bool healing_ = false;
};

}  // namespace bib::sim
