// Client messages for tests: of each kind with everything that it can say, and with nothing that it
// need not say.
#pragma once

#include <vector>

#include "event_samples.h"
#include "wire/client/client_message.h"

namespace bib::wire {

std::vector<ClientHello> client_hellos();
std::vector<ServerHello> server_hellos();
std::vector<Command> commands();
std::vector<CommandReply> command_replies();
std::vector<ErrorReply> error_replies();
std::vector<Query> queries();
std::vector<QueryReply> query_replies();
std::vector<ReadEvents> read_events_requests();
std::vector<EventsReply> events_replies();
std::vector<StatusReply> status_replies();
std::vector<ListSnapshots> snapshots_requests();
std::vector<SnapshotsReply> snapshots_replies();
std::vector<ChangeMembership> change_membership_requests();
std::vector<ChangeMembershipReply> change_membership_replies();
std::vector<TransferLeadership> transfer_requests();
std::vector<TransferReply> transfer_replies();

}  // namespace bib::wire
