// RequestJudge: is each request carried out once, and answered by what it was?
//
// A request is a client's id and a sequence. It is told what clients sent under them, of the log's
// events that carry out a request, and of answers. docs/consistency.md says what is promised, and
// docs/wire-protocol.md ("Exactly once") what clients may do. Plain logic, one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "level_judge.h"
#include "wire/client/client_message.h"
#include "wire/model/event.h"

namespace bib::judges {

class RequestJudge {
 public:
  // A client sends a command, or will. Copies need not be told.
  void sent(const wire::Command& command);

  // The log has the event that carries a request out. `before`: the stream's revision just before,
  // where it is known.
  Complaint carried_out(const wire::Origin& origin, wire::Position position,
                        wire::Revision revision, std::optional<wire::Revision> before);

  // A client was answered for this command: it was done.
  Complaint done(const wire::Command& command, const wire::CommandReply& reply) const;
  // ... the sequence is another command's, or comes too late.
  Complaint reused(const wire::Command& command) const;
  // A request that acknowledged everything below the sequence was answered: none of that is carried
  // out from now on. (Records that have expired are another matter.)
  void acknowledged(wire::ClientId client, wire::RequestSequence below);

 private:
  struct Request {
    wire::ClientId client;
    wire::RequestSequence sequence;
    auto operator<=>(const Request&) const = default;
  };
  struct Command {
    std::uint64_t digest = 0;
    std::optional<wire::Revision> expected;
  };
  struct Done {
    wire::Position position;
    wire::Revision revision;
    std::uint64_t digest = 0;
  };

  std::map<Request, std::vector<Command>> sent_;  // mostly one
  std::map<Request, Done> done_;
  std::map<wire::ClientId, wire::RequestSequence> told_;          // acknowledged below, as sent
  std::map<wire::ClientId, wire::RequestSequence> acknowledged_;  // ... as answered
};

}  // namespace bib::judges
