// stream_events(): the events of the log, in order, each once, across lost connections.
//
// One thread; blocks until the events asked for have been visited, or, when it follows, until the
// visitor says stop. After a lost connection it continues after the last event, at any node (with
// request.consistency kLeader: at the leader). What two nodes lose with their connection, from the
// same event on, is not asked of a third (cli/client/lost_answers.h). It gives up when nothing has
// come for `context.timeout` although it tried.
#pragma once

#include <functional>

#include "cli/commands/context.h"
#include "wire/client/client_message.h"

namespace bib::cli {

// False: stop. The event is a view for the length of the call.
using EventVisitor = std::function<bool(const wire::LoggedEvent&)>;

// Returns the position to continue from.
wire::Result<wire::Position> stream_events(const Context& context, wire::ReadEvents request,
                                           const EventVisitor& visit);

}  // namespace bib::cli
