// Exit codes of raft-inspect: stable, for scripts. docs/raft-inspect.md lists them. Values only.
#pragma once

namespace bib::inspect {

enum class ExitCode : int {
  kClean = 0,
  kGeneral = 1,     // could not look: no such directory, no permission, or a check left undone
  kUsage = 2,       // the command line
  kDamage = 3,      // something that was durable is missing or wrong
  kNotBibData = 4,  // the directory holds no log of ours
};

}  // namespace bib::inspect
