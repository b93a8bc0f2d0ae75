// How the stories (story_test.cc) call things.
#pragma once

#include <string>

#include "consensus/raft.h"

namespace bib::consensus::test {

const char* name_of(Role role);
const char* name_of(ProgressState state);
const char* name_of(ReadRefusal refusal);
const char* name_of(ProposeRefusal refusal);
const char* name_of(TransferOutcome outcome);
const char* name_of(DropReason reason);

// "append after 3 entries 4..5 commit 2"
std::string text_of(const wire::PeerMessage& message);

}  // namespace bib::consensus::test
