// Sequences: clients that use the protocol's sequences in every way that it has, and in some that
// it forbids: several requests at once, which arrive in any order; copies of any of them, long
// after they were acknowledged, too; other bytes under a known sequence; sequences that are left
// out; acknowledgements of what was never answered. What they are answered, and what the log has of
// it, is judged as docs/wire-protocol.md says ("Exactly once").
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "checkers.h"
#include "engine/ports/client_port.h"
#include "sim_machine.h"
#include "wire/client/client_message.h"

namespace bib::sim {

class Sequences final : public EventTarget {
 public:
  Sequences(EventQueue& queue, wire::Prng& random, Trace& trace, const Plan& plan, Oracle& oracle,
            SimNetwork& network);

  static bool is_one(engine::SessionId session) {
    const auto number = static_cast<std::uint64_t>(session);
    return number >= kFirstSession && number < kFirstSession + kClientsMax;
  }

  void add_node(SimNode& node) { nodes_.push_back(&node); }
  void start();
  void heal() { healing_ = true; }
  std::uint64_t answered() const { return answered_; }

  void on_answer(NodeIndex node, engine::Asker asker, wire::FrameKind kind, wire::ByteView body);
  void on_event(std::uint32_t code, std::uint64_t argument) override;

 private:
  enum Code : std::uint32_t { kStep, kArrives, kAnswered };
  static constexpr std::uint64_t kFirstSession = 2000;
  static constexpr std::uint64_t kClientsMax = 16;

  // One command under a sequence, and what it asks for.
  struct Variant {
    wire::Command head;  // without its body
    std::string key;
    std::optional<std::string> value;  // absent: unset
    std::vector<std::uint8_t> body;
    wire::LogIndex began;  // what had been answered when it was first sent
  };
  struct Request {
    Time asked = 0;
    bool is_answered = false;
    std::vector<Variant> variants;  // the first is what it was meant to be
  };
  struct Client {
    wire::ClientId id;
    std::map<std::uint64_t, Request> requests;  // by sequence; the latest ones
    std::uint64_t next = 1;
    std::uint64_t below = 1;  // acknowledged
    wire::Revision revision;  // of its last answer
    NodeIndex leader = 0;     // as it believes
  };
  // A copy of a variant on its way, by number.
  struct Copy {
    std::size_t client = 0;
    wire::ClientId id;
    std::uint64_t sequence = 0;
    std::size_t variant = 0;
    wire::LogIndex began;
    NodeIndex node = 0;
  };
  struct Answer {
    std::uint64_t copy = 0;
    NodeIndex node = 0;
    wire::FrameKind kind{};
    std::vector<std::uint8_t> body;
  };

  void new_identity(Client& client);
  void step(std::size_t index);
  void ask_new(std::size_t index);
  void alter(std::size_t index);
  void repeat(std::size_t index);
  Request* some_request(Client& client, std::uint64_t& sequence);
  Variant make_variant(Client& client, std::uint64_t sequence, std::uint64_t below);
  void send(std::size_t index, std::uint64_t sequence, std::size_t variant);
  void arrive(std::uint64_t number);
  void take(const Answer& answer);
  void take_error(Client& client, const Copy& copy, const Variant& variant,
                  const wire::ErrorReply& error);
  void settled(Client& client, const Copy& copy, const Variant& variant);

  EventQueue& queue_;
  wire::Prng& random_;
  Trace& trace_;
  const Plan& plan_;
  Oracle& oracle_;
  SimNetwork& network_;
  std::vector<SimNode*> nodes_;
  std::vector<Client> clients_;
  std::map<std::uint64_t, Copy> copies_;
  std::vector<Answer> answers_;
  wire::ClientEncoder encoder_;
  std::uint64_t next_copy_ = 1;
  std::uint64_t next_value_ = 1;
  std::uint64_t answered_ = 0;
  bool healing_ = false;
};

}  // namespace bib::sim
