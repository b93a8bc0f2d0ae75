// MemberPlan: what is left to do of the membership changes that somebody asked for.
//
// Pure functions over the membership in effect; no state. A request names the wanted state, so
// that it may be repeated after a failover: what is already so is left out, and an empty plan means
// that nothing remains but to wait for the commit.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "consensus/changer.h"
#include "wire/base/membership.h"
#include "wire/base/result.h"
#include "wire/client/client_message.h"

namespace bib::engine {

// kInvalid: two changes of one member, or an address that others cannot reach. kNotFound: a member
// that does not exist cannot be promoted, demoted or updated. kRefused: a taken address.
wire::Result<std::vector<consensus::MembershipChange>> plan_member_changes(
    const wire::Membership& current, std::span<const wire::MemberChange> wanted);

// kInvalid unless others can dial both: "host:port", no wildcard, no port 0, and not the same
// twice.
wire::Status check_addresses(const wire::Member& member);

// One of the member's addresses that is another member's, for whichever purpose.
struct TakenAddress {
  std::string address;
  wire::NodeId owner;
};
std::optional<TakenAddress> find_taken_address(const wire::Membership& membership,
                                               const wire::Member& member);

}  // namespace bib::engine
