// Feeds: clients that list and follow the log's events, slowly or fast, and resume elsewhere when
// their node dies or falls silent. What they are sent is the committed log's events, in order.
#pragma once

#include <string>
#include <vector>

#include "checkers.h"
#include "engine/ports/client_port.h"
#include "sim_machine.h"
#include "wire/client/client_message.h"

namespace bib::sim {

class Feeds final : public EventTarget {
 public:
  Feeds(EventQueue& queue, wire::Prng& random, Trace& trace, const Plan& plan, Oracle& oracle,
        SimNetwork& network);

  // Which sessions are feeds.
  static bool is_feed(engine::SessionId session) {
    const auto number = static_cast<std::uint64_t>(session);
    return number >= kFirstSession && number < kFirstSession + kFeedsMax;
  }

  void add_node(SimNode& node) { nodes_.push_back(&node); }
  void start();
  void heal();

  void on_answer(NodeIndex node, engine::Asker asker, wire::FrameKind kind, wire::ByteView body,
                 bool more);
  void on_node_gone(NodeIndex node);
  void on_event(std::uint32_t code, std::uint64_t argument) override;

 private:
  enum Code : std::uint32_t { kAsk, kArrives, kAnswered, kSilent };
  static constexpr std::uint64_t kFirstSession = 1000;
  static constexpr std::uint64_t kFeedsMax = 16;

  struct Feed {
    wire::Position next{wire::LogIndex(1), 0};  // it has everything before
    std::uint64_t request = 0;                  // number of the one under way
    NodeIndex node = 0;
    std::uint64_t heard = 0;  // answers to it
    wire::Consistency consistency = wire::Consistency::kStale;
    bool follows = false;
    std::uint32_t limit = 0;
    std::uint64_t sent = 0;  // events, in answer to it
    Oracle::Question question;
  };
  struct Answer {
    std::size_t feed = 0;
    std::uint64_t request = 0;
    NodeIndex node = 0;
    wire::FrameKind kind{};
    std::vector<std::uint8_t> body;
    bool more = false;
  };

  void ask(std::size_t index);
  void take(const Answer& answer);
  void check_end(std::size_t index, const wire::EventsReply& reply) const;
  void check_size(std::size_t index, const wire::EventsReply& reply) const;
  void take_error(std::size_t index, const Answer& answer);
  void again(std::size_t index, Time delay);
  engine::Asker asker(std::size_t index) const;
  std::string name(std::size_t index) const;

  EventQueue& queue_;
  wire::Prng& random_;
  Trace& trace_;
  const Plan& plan_;
  Oracle& oracle_;
  SimNetwork& network_;
  std::vector<SimNode*> nodes_;
  std::vector<Feed> feeds_;
  std::vector<Answer> answers_;  // by number
  std::uint64_t next_request_ = 1;
  bool healing_ = false;
};

}  // namespace bib::sim
