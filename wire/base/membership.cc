#include "wire/base/membership.h"

#include <algorithm>

#include "wire/base/flatbuffers_io.h"
#include "wire/base/membership_flatbuffers.h"

namespace bib::wire {
namespace {

bool contains(const std::vector<NodeId>& ids, NodeId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

std::vector<std::uint64_t> values_of(const std::vector<NodeId>& ids) {
  std::vector<std::uint64_t> values;
  values.reserve(ids.size());
  for (const NodeId id : ids) values.push_back(id.value());
  return values;
}

// One more than is allowed, so that check_list sees it.
std::vector<NodeId> list_of(const flatbuffers::Vector<std::uint64_t>* ids) {
  return ids_of(ids, kMembersMax + 1);
}

Status check_list(const char* name, const std::vector<NodeId>& ids) {
  if (ids.size() > kMembersMax) {
    return fail(ErrorCode::kInvalid, "the membership's list of {} is longer than {}", name,
                kMembersMax);
  }
  NodeId last;
  for (const NodeId id : ids) {
    if (id <= last) {
      return fail(
          ErrorCode::kInvalid,
          "the membership's list of {} is not sorted, repeats an id or holds 0: {} follows {}",
          name, to_string(id), to_string(last));
    }
    last = id;
  }
  return {};
}

Status check_apart(const char* name, const std::vector<NodeId>& ids, const char* other_name,
                   const std::vector<NodeId>& others) {
  for (const NodeId id : ids) {
    if (contains(others, id)) {
      return fail(ErrorCode::kInvalid, "the membership names {} in {} and in {}", to_string(id),
                  name, other_name);
    }
  }
  return {};
}

Status check_members(const Membership& m) {
  std::vector<NodeId> lines;
  for (const Member& member : m.members) lines.push_back(member.id);
  BIB_TRY_VOID(check_list("members", lines));
  std::vector<NodeId> named;
  for (const auto* list : {&m.voters, &m.voters_outgoing, &m.learners, &m.learners_next}) {
    named.insert(named.end(), list->begin(), list->end());
  }
  for (const NodeId id : named) {
    if (!std::binary_search(lines.begin(), lines.end(), id)) {
      return fail(ErrorCode::kInvalid, "the membership names {} but has no line for it",
                  to_string(id));
    }
  }
  for (const NodeId id : lines) {
    if (!contains(named, id)) {
      return fail(ErrorCode::kInvalid, "the membership has a line for {} but gives it no part",
                  to_string(id));
    }
  }
  return {};
}

Status check_membership(const Membership& m) {
  if (m.voters.empty()) return fail(ErrorCode::kInvalid, "the membership leaves no voter");
  BIB_TRY_VOID(check_list("voters", m.voters));
  BIB_TRY_VOID(check_list("outgoing voters", m.voters_outgoing));
  BIB_TRY_VOID(check_list("learners", m.learners));
  BIB_TRY_VOID(check_list("next learners", m.learners_next));
  BIB_TRY_VOID(check_apart("learners", m.learners, "voters", m.voters));
  BIB_TRY_VOID(check_apart("learners", m.learners, "outgoing voters", m.voters_outgoing));
  BIB_TRY_VOID(check_apart("next learners", m.learners_next, "voters", m.voters));
  for (const NodeId id : m.learners_next) {
    if (!contains(m.voters_outgoing, id)) {
      return fail(ErrorCode::kInvalid, "the membership's next learner {} is not an outgoing voter",
                  to_string(id));
    }
  }
  return check_members(m);
}

}  // namespace

const Member* Membership::find(NodeId id) const {
  const auto at = std::find_if(members.begin(), members.end(),
                               [id](const Member& member) { return member.id == id; });
  return at == members.end() ? nullptr : &*at;
}

bool Membership::is_voter(NodeId id) const {
  return contains(voters, id) || contains(voters_outgoing, id);
}

bool Membership::is_learner(NodeId id) const {
  return contains(learners, id);
}

flatbuffers::Offset<fb::peer::Member> build_member(flatbuffers::FlatBufferBuilder& builder,
                                                   const Member& member) {
  const auto raft_address = builder.CreateString(member.raft_address);
  const auto api_address = builder.CreateString(member.api_address);
  return fb::peer::CreateMember(builder, member.id.value(), raft_address, api_address,
                                member.wants_vote, member.log_id);
}

flatbuffers::Offset<fb::peer::Membership> build_membership(flatbuffers::FlatBufferBuilder& builder,
                                                           const Membership& membership) {
  std::vector<flatbuffers::Offset<fb::peer::Member>> lines;
  lines.reserve(membership.members.size());
  for (const Member& member : membership.members) lines.push_back(build_member(builder, member));
  const auto members = builder.CreateVector(lines);
  const auto voters = builder.CreateVector(values_of(membership.voters));
  const auto outgoing = builder.CreateVector(values_of(membership.voters_outgoing));
  const auto learners = builder.CreateVector(values_of(membership.learners));
  const auto learners_next = builder.CreateVector(values_of(membership.learners_next));
  return fb::peer::CreateMembership(builder, voters, outgoing, learners, learners_next,
                                    membership.auto_leave, members);
}

Member read_member(const fb::peer::Member& table) {
  return {.id = NodeId(table.id()),
          .raft_address = std::string(text_of(table.raft_address())),
          .api_address = std::string(text_of(table.api_address())),
          .wants_vote = table.wants_vote(),
          .log_id = table.log_id()};
}

Result<Membership> read_membership(const fb::peer::Membership& table) {
  Membership membership;
  membership.voters = list_of(table.voters());
  membership.voters_outgoing = list_of(table.voters_outgoing());
  membership.learners = list_of(table.learners());
  membership.learners_next = list_of(table.learners_next());
  membership.auto_leave = table.auto_leave();
  if (const auto* members = table.members()) {
    if (members->size() > kMembersMax) {
      return fail(ErrorCode::kInvalid, "a membership of {} members; the limit is {}",
                  members->size(), kMembersMax);
    }
    membership.members.reserve(members->size());
    for (const auto* member : *members) membership.members.push_back(read_member(*member));
  }
  BIB_TRY_VOID(check_membership(membership));
  return membership;
}

std::vector<std::uint8_t> encode_membership(const Membership& membership) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(build_membership(builder, membership));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

Result<Membership> decode_membership(ByteView bytes) {
  const Bytes aligned = Bytes::copy_of(bytes);  // small, and read by 8-byte loads
  flatbuffers::Verifier verifier(aligned.data(), aligned.size());
  if (!verifier.VerifyBuffer<fb::peer::Membership>(nullptr)) {
    return fail(ErrorCode::kCorrupt, "{} bytes are not a membership: they do not verify",
                bytes.size());
  }
  return read_membership(*flatbuffers::GetRoot<fb::peer::Membership>(aligned.data()));
}

}  // namespace bib::wire
