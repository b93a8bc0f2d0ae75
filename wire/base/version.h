// The build's version, for `version`, hello messages and logs.
#pragma once

namespace bib::wire {

// "0.1.0".
const char* version();

}  // namespace bib::wire
