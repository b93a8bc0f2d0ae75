// Exit codes of `bib`, `bibd` and `raft-inspect`: stable, for scripts and supervisors.
//
// The one declaration of the codes, of what they mean and of what the supervisor of a node does at
// each: the programs end with these enumerators, their --help lists them from here, and
// docs/exit-codes.md is compared with it. A new code is an enumerator here, and its case in
// exit_code.cc, without which that does not compile. Values and texts only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bib::wire {

enum class Program : std::uint8_t { kBib, kBibd, kRaftInspect };

// Of bib and bibd.
enum class ExitCode : int {
  kOk = 0,
  kGeneral = 1,
  kUsage = 2,
  kConfiguration = 3,
  kConnection = 4,
  kAuthentication = 5,
  kPermission = 6,
  kNoLeader = 7,  // no leader or no quorum
  kRevisionConflict = 8,
  kNotFound = 9,
  kRefused = 10,       // a rule said no
  kConflict = 11,      // the cluster has lost what is committed on this node
  kInterrupted = 130,  // Ctrl-C, as shells have it: 128 + SIGINT
};

// Of raft-inspect.
enum class InspectExitCode : int {
  kClean = 0,
  kGeneral = 1,     // could not look: no such directory, no permission, or a check left undone
  kUsage = 2,       // the command line
  kDamage = 3,      // something that was durable is missing or wrong
  kNotBibData = 4,  // the directory holds no log of ours
};

// What a supervisor does when a node has ended.
enum class Supervision : std::uint8_t {
  kNone,        // bibd does not end with this code
  kLeave,       // the next start would end in the same way: a person has to do something first
  kStartAgain,  // after a pause, and a few times in a row at most
};

// The range in which all codes lie, as a parent process sees them.
inline constexpr int kExitCodeMax = 255;

// What the program means by the code, as half a sentence; empty: it never ends with it.
std::string_view exit_meaning(Program program, int code);

Supervision supervision(int code);
std::string_view to_string(Supervision supervision);  // "leave it", "start it again", ""

// The program's codes for its --help: a line each, below a heading.
std::string exit_code_help(Program program);

}  // namespace bib::wire
