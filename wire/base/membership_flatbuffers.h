// Membership's FlatBuffers form, for the files of wire that embed it in a larger table.
// Values only. read_membership checks the lists; the caller has verified the buffer.
#pragma once

#include "schema/peer_generated.h"
#include "wire/base/membership.h"

namespace bib::wire {

flatbuffers::Offset<fb::peer::Member> build_member(flatbuffers::FlatBufferBuilder& builder,
                                                   const Member& member);
flatbuffers::Offset<fb::peer::Membership> build_membership(flatbuffers::FlatBufferBuilder& builder,
                                                           const Membership& membership);

Member read_member(const fb::peer::Member& table);
// kInvalid as decode_membership says.
Result<Membership> read_membership(const fb::peer::Membership& table);

}  // namespace bib::wire
