#include "request_judge.h"

#include <fmt/format.h>

#include <algorithm>

namespace bib::judges {

using wire::RequestSequence;
using wire::Revision;

void RequestJudge::sent(const wire::Command& command) {
  std::vector<Command>& commands = sent_[{command.client, command.sequence}];
  const bool is_known = std::any_of(commands.begin(), commands.end(), [&](const Command& one) {
    return one.digest == command.digest;
  });
  if (!is_known) commands.push_back({command.digest, command.expected_revision});
  RequestSequence& told = told_[command.client];
  told = std::max(told, command.acknowledged_below);
}

Complaint RequestJudge::carried_out(const wire::Origin& origin, wire::Position position,
                                    Revision revision, std::optional<Revision> before) {
  const Request request{origin.client, origin.sequence};
  const auto [at, is_new] = done_.try_emplace(request, Done{position, revision, origin.digest});
  if (!is_new) {
    return fmt::format("request {} of one client is in the log at {} and at {}",
                       request.sequence.value(), to_string(at->second.position),
                       to_string(position));
  }
  const auto acknowledged = acknowledged_.find(origin.client);
  if (acknowledged != acknowledged_.end() && origin.sequence < acknowledged->second) {
    return fmt::format(
        "request {} of one client was acknowledged without being carried out, and is carried out "
        "at {} all the same",
        request.sequence.value(), to_string(position));
  }
  const auto sent = sent_.find(request);
  const Command* command = nullptr;
  if (sent != sent_.end()) {
    for (const Command& one : sent->second) {
      if (one.digest == origin.digest) command = &one;
    }
  }
  if (command == nullptr) {
    return fmt::format("request {} is carried out at {} as nobody has sent it",
                       request.sequence.value(), to_string(position));
  }
  if (command->expected && before && *command->expected != *before) {
    return fmt::format("request {} expects revision {}, and is carried out at {} after revision {}",
                       request.sequence.value(), command->expected->value(), to_string(position),
                       before->value());
  }
  return std::nullopt;
}

Complaint RequestJudge::done(const wire::Command& command, const wire::CommandReply& reply) const {
  const auto found = done_.find({command.client, command.sequence});
  if (found == done_.end() || found->second.position != reply.position ||
      found->second.revision != reply.revision) {
    return fmt::format("request {} is answered with {} and revision {}, which is not its event",
                       command.sequence.value(), to_string(reply.position), reply.revision.value());
  }
  if (found->second.digest != command.digest) {
    return fmt::format("request {} is answered with what other bytes under its sequence have done",
                       command.sequence.value());
  }
  return std::nullopt;
}

Complaint RequestJudge::reused(const wire::Command& command) const {
  const auto found = done_.find({command.client, command.sequence});
  if (found != done_.end() && found->second.digest != command.digest) return std::nullopt;
  const auto told = told_.find(command.client);
  if (told != told_.end() && command.sequence < told->second) return std::nullopt;
  return fmt::format("request {} is refused as another one's, or as late, which it is not",
                     command.sequence.value());
}

void RequestJudge::acknowledged(wire::ClientId client, RequestSequence below) {
  RequestSequence& known = acknowledged_[client];
  known = std::max(known, below);
}

}  // namespace bib::judges
