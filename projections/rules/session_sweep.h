// SessionSweep: goes over the records of requests, a part of them at a time, and finds those that
// expire: by age, or because there are too many.
//
// How many there are is known at the end of a pass over all; which of them are too many, from the
// places of those that were seen, of which a few thousand are kept. The next pass finds these. Ages
// are places in the log: who knows the time says up to which entry records are old.
//
// One look at a time, on any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "projections/rules/sessions.h"
#include "projections/state/delta.h"

namespace bib::projections {

struct SessionLimits {
  wire::LogIndex old_to;      // records of entries up to here expire
  wire::LogIndex spare_to;    // and of those up to here the oldest beyond this number
  std::size_t rows_max = 0;   // in all, floors among them
  std::size_t found_max = 0;  // found in one look
  std::size_t look_max = 0;   // rows looked at in one look
};

class SessionSweep {
 public:
  wire::Result<ExpiredSessions> look(const StateView& view, const SessionLimits& limits);

 private:
  void note_kept(wire::LogIndex index);
  void end_pass(const SessionLimits& limits);

  std::string after_;         // the last key that was looked at; empty: a new pass
  wire::LogIndex excess_to_;  // records up to here were too many, as of the last pass
  // Of this pass: the rows that stay, floors among them, how many of these are records, and the
  // places of every `stride_`-th record.
  std::size_t rows_ = 0;
  std::size_t kept_ = 0;
  std::size_t stride_ = 1;
  std::vector<wire::LogIndex> places_;
};

}  // namespace bib::projections
