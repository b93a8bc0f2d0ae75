// Linearizability of histories: could one machine that does one thing at a time have given these
// answers, each between its call and its completion (Herlihy and Wing 1990)?
//
// The machine is a table of registers, checked key by key; one key is what a stream of bib is:
//
//   * at first it is not set, and its revision is 0;
//   * a write sets the value and raises the revision by one; the value that is there already
//     changes nothing;
//   * a delete makes it "not set" and raises the revision too, which goes on from there when the
//     key is set again; a key that is not set shows revision 0 and cannot be deleted;
//   * a write or delete may expect a revision (compare and set; 0: not set), and happens only
//   there.
//
// Plain values, any thread, no I/O. A HistoryRecorder makes a history as it happens:
//
//   HistoryRecorder history;
//   const auto put = history.invoke({.process = 1, .call = Call::kWrite, .key = "k", .value =
//   "a"});
//   ... the answer arrives: revision 1 ...
//   history.ok(put, {}, 1);
//   const Verdict verdict = check_linearizability(history.operations());
//   INFO(verdict.text);
//   CHECK(verdict.kind == Verdict::Kind::kLinearizable);
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bib::support {

enum class Call : std::uint8_t { kRead, kWrite, kDelete };

enum class Outcome : std::uint8_t {
  kInfo,  // not known: it takes effect at any time after its call, once, or never
  kOk,    // it took effect between call and completion
  kFail,  // it never takes effect
};

struct Operation {
  int process = 0;  // whose call it is; for the reader only
  Call call = Call::kRead;
  std::string key{};
  // What a write writes; what a read saw (kOk; absent: not set).
  std::optional<std::string> value{};
  std::optional<std::uint64_t> expected{};  // of a write or delete; 0: the key must not be set
  // What the answer said, if it said so: the key's revision after a write or delete, or as read.
  // With kFail: the revision for which it was refused, which is checked as if it had been read.
  std::optional<std::uint64_t> revision{};
  Outcome outcome = Outcome::kInfo;
  // Places of call and completion in one order of all events: a counter, or a time. One operation
  // precedes another if it was completed before (not at) the place where the other was called.
  std::uint64_t invoked = 0;
  std::uint64_t completed = 0;  // kInfo: not used
};

// Numbers the events in the order in which it is told of them. One thread, or a lock around it.
class HistoryRecorder {
 public:
  // Just before the call is made. The number names the operation below and in operations().
  std::size_t invoke(Operation operation);

  // Just after its answer. `value`: what a read saw; for other calls it is not used.
  void ok(std::size_t operation, std::optional<std::string> value = {},
          std::optional<std::uint64_t> revision = {});
  void fail(std::size_t operation, std::optional<std::uint64_t> revision = {});
  // What is never completed is kInfo, too.
  void info(std::size_t operation);

  const std::vector<Operation>& operations() const { return operations_; }

 private:
  Operation& completing(std::size_t operation, Outcome outcome);

  std::vector<Operation> operations_;
  std::uint64_t next_ = 1;
};

// For one key. Beyond, the verdict is kUnknown. A configuration takes about 150 bytes.
struct CheckLimits {
  std::uint64_t steps_max = 20'000'000;
  std::size_t configurations_max = 200'000;
};

struct Verdict {
  enum class Kind : std::uint8_t { kLinearizable, kNotLinearizable, kUnknown };

  Kind kind = Kind::kLinearizable;
  // The first key (in order) that is not linearizable, or else the first that is not decided.
  std::string key{};
  // Not linearizable: operations (places in the history) that already contradict each other,
  // whatever all others did or did not do. Taking any of them away may resolve the contradiction.
  std::vector<std::size_t> core{};
  // For people: the verdict, and the operations of the core, a line each.
  std::string text{};
  std::uint64_t steps = 0;  // for all keys
};

// Throws std::invalid_argument for what no history can be: completed before it was called, a write
// without a value.
Verdict check_linearizability(std::span<const Operation> history, const CheckLimits& limits = {});

// "p2 write "a" expecting revision 3: ok, revision 4   [17, 21]"
std::string to_string(const Operation& operation);

}  // namespace bib::support
