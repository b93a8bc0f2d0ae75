// LevelJudge: do reads show what docs/consistency.md promises for their level?
//
// It is told of the log's events of keys, in order, of each answer that a client got, and of each
// question when it is asked; the answer is then judged by what had to be shown at that moment. The
// simulator tells it as things happen, the histories of real nodes afterwards. Plain logic, one
// thread. Time is in microseconds, of one clock.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/client/client_message.h"

namespace bib::judges {

// What is wrong, for people; nullopt: nothing.
using Complaint = std::optional<std::string>;

class LevelJudge {
 public:
  struct Options {
    std::size_t nodes = 0;
    // A node's clock may run so many times as fast as the one that the judge is told of.
    std::uint64_t clock_factor = 1;
    // A node that leads and was deposed finds out within so many of its own ticks; 0: not judged.
    std::size_t deposed_ticks = 0;
  };
  struct Version {
    wire::LogIndex index;
    std::optional<std::string> value;  // absent: unset
    wire::Revision revision;
  };
  // A read, as it is asked of a node.
  struct Question {
    std::size_t node = 0;
    wire::Consistency level = wire::Consistency::kLinearizable;
    std::uint64_t max_age_us = 0;  // stale: 0: however old
    // Filled by ask(): the moment, and the entry that the answer must show at least; the second one
    // where it says how old its rows are.
    std::uint64_t asked_us = 0;
    wire::LogIndex floor;
    wire::LogIndex floor_if_aged;
  };
  // Rows, as they were answered.
  struct Seen {
    std::string key;
    std::optional<std::string> value;
    wire::LogIndex applied;
    std::optional<std::uint64_t> age_us;  // as far as the node says it
  };

  explicit LevelJudge(Options options);

  // ---- the log
  // An event of a key. A key's revisions go up by one, over its deletion too.
  Complaint add(const std::string& key, Version version);
  // What the key was after the entry; nullptr: never set.
  const Version* version_at(const std::string& key, wire::LogIndex index) const;
  // As expected revisions count it: 0 where the key is not set.
  wire::Revision revision_at(const std::string& key, wire::LogIndex index) const;
  // Whether the key was so after `from`, or at any time since.
  bool was(const std::string& key, wire::LogIndex from,
           const std::function<bool(const Version*)>& so) const;
  bool was_value(const std::string& key, wire::LogIndex from,
                 const std::optional<std::string>& value) const;

  // ---- answers to writes
  void acknowledged(std::uint64_t now_us, std::size_t node, wire::LogIndex index);
  // ... by a node that is not known.
  void completes(std::uint64_t now_us, wire::LogIndex index);
  // Everything that begins now comes after it.
  wire::LogIndex completed() const { return completed_; }
  // ... as it was at that time.
  wire::LogIndex completed_at(std::uint64_t time_us) const;

  // ---- reads
  // `run`: which one of the node's processes it comes to, counted up; 0: not known.
  Question ask(std::uint64_t now_us, std::uint32_t run, Question question) const;
  // Of two that are the same read: what both must show.
  static void merge(Question& question, const Question& other);
  Complaint answered(std::uint64_t now_us, std::uint32_t run, const Question& question,
                     const Seen& seen);
  // The key is not set; such an answer names no entry.
  Complaint answered_unset(const Question& question, const std::string& key) const;
  // The node says that its rows show all that was acknowledged `age_us` ago.
  Complaint says_age(std::uint64_t now_us, std::uint64_t age_us, wire::LogIndex applied) const;
  // Its process runs, and its clock goes on.
  void tick(std::size_t node);

 private:
  struct Node {
    wire::LogIndex acknowledged;  // in all its runs
    std::uint32_t run = 0;
    wire::LogIndex shown;         // in this run
    wire::LogIndex shown_before;  // in earlier ones
    std::deque<wire::LogIndex> completed_at_ticks;
  };

  std::uint64_t longest(std::uint64_t age_us) const;
  Complaint check_age(const Question& question, const Seen& seen) const;

  Options options_;
  std::vector<Node> nodes_;
  std::map<std::string, std::vector<Version>, std::less<>> versions_;
  wire::LogIndex completed_;
  std::vector<std::pair<std::uint64_t, wire::LogIndex>> completions_;  // both ascending
};

std::string_view name_of(wire::Consistency level);

}  // namespace bib::judges
