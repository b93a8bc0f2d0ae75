// The hash of a dataset's content as text: "sha256:<64 hex digits>".
//
// A pure function. A version never changes, so that a wrong hash could never be put right: it is
// looked at before it is sent.
#pragma once

#include <string>

#include "wire/base/result.h"

namespace bib::cli {

// In small letters; without an algorithm it is MD5, as Data Package has it. Empty stays empty, and
// what another algorithm makes is not known here and stays as it is. kInvalid says in half a
// sentence what is wrong.
wire::Result<std::string> checked_hash(std::string text);

}  // namespace bib::cli
