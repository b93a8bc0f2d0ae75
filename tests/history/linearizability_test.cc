// The checker on histories that are known to be wrong, and on right ones that look wrong.
#include "support/linearizability.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "brute_force.h"
#include "random_history.h"

using namespace bib;
using namespace bib::support;
using bib::history::is_linearizable_by_brute_force;
using Catch::Matchers::Contains;
using Kind = Verdict::Kind;

namespace {

using Revision = std::optional<std::uint64_t>;
using Value = std::optional<std::string>;

// Place of the call and of the completion.
struct During {
  std::uint64_t invoked;
  std::uint64_t completed;
};

Operation at(During during, Call call, Value value, Revision revision, int process) {
  Operation operation;
  operation.process = process;
  operation.call = call;
  operation.key = "k";
  operation.value = std::move(value);
  operation.revision = revision;
  operation.outcome = Outcome::kOk;
  operation.invoked = during.invoked;
  operation.completed = during.completed;
  return operation;
}

Operation read(During during, Value saw, Revision revision = {}, int process = 0) {
  return at(during, Call::kRead, std::move(saw), revision, process);
}
Operation write(During during, std::string value, Revision revision = {}, int process = 0) {
  return at(during, Call::kWrite, std::move(value), revision, process);
}
Operation remove(During during, Revision revision = {}) {
  return at(during, Call::kDelete, {}, revision, 0);
}
Operation cas(During during, std::uint64_t expected, std::string value, Revision revision = {}) {
  Operation operation = write(during, std::move(value), revision);
  operation.expected = expected;
  return operation;
}
Operation unknown(Operation operation) {
  operation.outcome = Outcome::kInfo;
  operation.completed = 0;
  operation.revision.reset();
  return operation;
}
Operation refused(Operation operation, Revision revision = {}) {
  operation.outcome = Outcome::kFail;
  operation.revision = revision;
  return operation;
}

// Both checkers are asked.
void require_right(const std::vector<Operation>& history) {
  const Verdict verdict = check_linearizability(history);
  INFO(verdict.text);
  CHECK(verdict.kind == Kind::kLinearizable);
  CHECK(is_linearizable_by_brute_force(history));
}

// Wrong, and its core are exactly these operations.
void require_wrong(const std::vector<Operation>& history, const std::vector<std::size_t>& core) {
  const Verdict verdict = check_linearizability(history);
  INFO(verdict.text);
  REQUIRE(verdict.kind == Kind::kNotLinearizable);
  CHECK(verdict.core == core);
  CHECK_FALSE(is_linearizable_by_brute_force(history));
}

}  // namespace

TEST_CASE("an empty history and one of lone reads of nothing are linearizable") {
  require_right({});
  require_right({read({1, 2}, {}), read({1, 3}, {}, 0), unknown(read({4, 0}, {}))});
}

TEST_CASE("a stale read is found") {
  require_wrong({write({1, 2}, "a"), write({3, 4}, "b"), read({5, 6}, "a", {}, 1)}, {0, 1, 2});
  require_wrong({write({1, 2}, "a", 1), write({3, 4}, "b", 2), read({5, 6}, "a", 1, 1)}, {1, 2});
}

TEST_CASE("a stale read of nothing after an acknowledged write is found") {
  require_wrong({write({1, 2}, "a"), read({3, 4}, {})}, {0, 1});
}

TEST_CASE("a lost update is found") {
  // Both were told that theirs is the first change.
  require_wrong({write({1, 4}, "a", 1), write({2, 5}, "b", 1)}, {0, 1});
  // The second one is gone although nothing came after it.
  require_wrong({write({1, 2}, "a"), write({3, 4}, "b"), read({5, 6}, {})}, {1, 2});
}

TEST_CASE("a read of a value that nobody has written is found") {
  require_wrong({write({1, 2}, "a"), read({3, 4}, "x")}, {1});
}

TEST_CASE("a read of a value before it was written is found") {
  require_wrong({read({1, 2}, "a"), write({3, 4}, "a")}, {0});
}

TEST_CASE("a value that comes back is found") {
  require_wrong({write({1, 2}, "a"), write({3, 4}, "b"), read({5, 6}, "b"), read({7, 8}, "a")},
                {0, 1, 3});
  require_wrong({write({1, 8}, "a"), write({1, 8}, "b"), read({9, 10}, "a"), read({11, 12}, "b"),
                 read({13, 14}, "a")},
                {1, 2, 3});
}

TEST_CASE("a write of unknown outcome takes effect once at most") {
  require_wrong({unknown(write({1, 0}, "a")), read({2, 3}, "a"), write({4, 5}, "b"),
                 read({6, 7}, "a"), read({8, 9}, "b"), read({10, 11}, "a")},
                {1, 2, 3});
}

TEST_CASE("two successful compare-and-sets on one revision are found") {
  require_wrong({write({1, 2}, "a", 1), cas({3, 8}, 1, "b"), cas({4, 9}, 1, "c")}, {1, 2});
  require_wrong({cas({1, 3}, 0, "b", 1), cas({2, 4}, 0, "c", 1)}, {0, 1});
}

TEST_CASE("a split brain is found") {
  // Two sides of a partition, each consistent in itself.
  require_wrong({write({1, 2}, "a", 1, 1), write({3, 4}, "b", 2, 1), read({5, 6}, "b", 2, 1),
                 write({3, 5}, "c", 2, 2), read({6, 8}, "c", 2, 2)},
                {1, 3});
}

TEST_CASE("a read that goes back in time between two clients is found") {
  // The write is still under way: either value may be read, but not the new and then the old.
  require_wrong({write({1, 2}, "a"), write({3, 20}, "b", {}, 1), read({4, 5}, "b", {}, 2),
                 read({6, 7}, "a", {}, 3)},
                {0, 2, 3});
}

TEST_CASE("an operation that was executed twice is found") {
  require_wrong({write({1, 2}, "a", 1), write({3, 4}, "b", 3)}, {1});
  require_wrong({write({1, 2}, "a", 1), unknown(write({3, 0}, "b")), write({4, 5}, "c", 4)}, {2});
  require_right({write({1, 2}, "a", 1), unknown(write({3, 0}, "b")), write({4, 5}, "c", 3)});
}

TEST_CASE("a write that failed and is read all the same is found") {
  require_wrong({write({1, 2}, "a"), refused(write({3, 4}, "b")), read({5, 6}, "b")}, {2});
}

TEST_CASE("a refusal for a revision that the key did not have is found") {
  require_right({write({1, 2}, "a", 1), refused(cas({3, 4}, 7, "b"), 1)});
  require_wrong({write({1, 2}, "a", 1), refused(cas({3, 4}, 7, "b"), 2)}, {1});
  // Refused because of the revision that it expects.
  require_wrong({write({1, 2}, "a", 1), refused(cas({3, 4}, 1, "b"), 1)}, {1});
  require_wrong({write({1, 2}, "a", 1), write({3, 4}, "b", 2), refused(cas({5, 6}, 0, "c"), 1)},
                {1, 2});
}

TEST_CASE("a delete of what is not there is found") {
  require_wrong({remove({1, 2})}, {0});
  require_wrong({write({1, 2}, "a"), remove({3, 4}), remove({5, 6})}, {1, 2});
  require_right({write({1, 2}, "a", 1), remove({3, 4}, 2), read({5, 6}, {}, 0),
                 write({7, 8}, "b", 3), refused(cas({9, 10}, 1, "c"), 3), remove({11, 12}, 4),
                 refused(remove({13, 14}), 0)});
}

TEST_CASE("a revision that starts over after a delete is found") {
  require_wrong({write({1, 2}, "a", 1), remove({3, 4}, 2), write({5, 6}, "b", 1)}, {1, 2});
}

TEST_CASE("operations that overlap may take effect in any order") {
  require_right({write({1, 9}, "a"), write({2, 8}, "b"), read({10, 11}, "a")});
  require_right({write({1, 9}, "a"), write({2, 8}, "b"), read({10, 11}, "b")});
  require_right({write({1, 2}, "a"), write({3, 20}, "b", {}, 1), read({4, 5}, "a", {}, 2),
                 read({6, 7}, "b", {}, 3), read({8, 9}, "b")});
  require_right({cas({1, 20}, 2, "c", 3), cas({2, 21}, 1, "b", 2), cas({3, 22}, 0, "a", 1)});
  // Completed at the place where the other was called: neither precedes.
  require_right({write({1, 5}, "a"), read({1, 1}, {}), read({5, 6}, {}), read({6, 7}, "a")});
}

TEST_CASE("a write of unknown outcome may take effect late, or never") {
  require_right({write({1, 2}, "a"), unknown(write({3, 0}, "b")), read({4, 5}, "a"),
                 read({6, 7}, "a"), read({8, 9}, "b")});
  require_right({write({1, 2}, "a"), unknown(write({3, 0}, "b")), read({4, 5}, "a")});
  // Never before it was called.
  require_wrong({read({1, 2}, "b"), unknown(write({3, 0}, "b"))}, {0});
}

TEST_CASE("an unknown compare-and-set happens only at its revision") {
  require_right({write({1, 2}, "a", 1), unknown(cas({3, 0}, 1, "b")), read({4, 5}, "b", 2)});
  require_wrong({write({1, 2}, "a", 1), unknown(cas({3, 0}, 1, "b")), write({4, 5}, "c", 2),
                 read({6, 7}, "b", 3)},
                {1, 3});
}

TEST_CASE(
    "a gap in the revisions is explained by an unknown write, and only by as many as there are") {
  const auto gap = [](std::uint64_t revision) {
    return std::vector<Operation>{write({1, 2}, "a", 1), unknown(write({3, 0}, "b")),
                                  unknown(write({4, 0}, "c")), unknown(write({5, 0}, "d")),
                                  write({6, 7}, "e", revision)};
  };
  for (std::uint64_t revision = 2; revision <= 5; ++revision) require_right(gap(revision));
  require_wrong(gap(6), {4});
}

TEST_CASE("writing the value that is there changes nothing") {
  require_right({write({1, 2}, "a", 1), write({3, 4}, "a", 1), read({5, 6}, "a", 1)});
  require_wrong({write({1, 2}, "a", 1), write({3, 4}, "a", 2)}, {1});
  // Told that all is as it should be, after another value had been acknowledged.
  require_wrong({write({1, 2}, "a", 1), write({3, 4}, "b", 2), write({5, 6}, "a", 1)}, {1, 2});
}

TEST_CASE("keys are checked each for itself, and the wrong one is named") {
  std::vector<Operation> history{write({1, 2}, "a"), read({3, 4}, "a"), write({5, 6}, "b"),
                                 read({7, 8}, {})};
  history[2].key = history[3].key = "other";
  const Verdict verdict = check_linearizability(history);
  REQUIRE(verdict.kind == Kind::kNotLinearizable);
  CHECK(verdict.key == "other");
  CHECK(verdict.core == std::vector<std::size_t>{2, 3});
  CHECK_THAT(verdict.text, Contains("key 'other'"));
  CHECK_THAT(verdict.text, Contains("p0 read: ok, saw not set   [7, 8]"));
}

TEST_CASE("a checker that may not search says that it does not know") {
  const std::vector<Operation> history{write({1, 9}, "a"), write({1, 9}, "b"), write({1, 9}, "c"),
                                       read({10, 11}, "c"), read({12, 13}, "a")};
  CHECK(check_linearizability(history).kind == Kind::kNotLinearizable);
  const Verdict few_steps = check_linearizability(history, {.steps_max = 5});
  CHECK(few_steps.kind == Kind::kUnknown);
  CHECK_THAT(few_steps.text, Contains("key 'k' takes more than 5 steps"));
  const Verdict few_kept = check_linearizability(history, {.configurations_max = 3});
  CHECK(few_kept.kind == Kind::kUnknown);
  CHECK_THAT(few_kept.text, Contains("more than 3 configurations"));
}

TEST_CASE("more unknown operations than the checker can hold are no verdict") {
  std::vector<Operation> history;
  for (std::uint64_t i = 0; i < 600; ++i) {
    history.push_back(unknown(write({i + 1, 0}, std::to_string(i))));
  }
  history.push_back(read({700, 701}, "1"));
  CHECK(check_linearizability(history).kind == Kind::kUnknown);
  history.resize(400);
  history.push_back(read({700, 701}, "1"));
  CHECK(check_linearizability(history).kind == Kind::kLinearizable);
}

TEST_CASE("a key that is wrong is reported even if another one is not decided") {
  std::vector<Operation> history{write({1, 9}, "a"), write({1, 9}, "b"), write({1, 9}, "c"),
                                 read({10, 11}, "c"), read({12, 13}, "x")};
  history[4].key = "z";
  const Verdict verdict = check_linearizability(history, {.steps_max = 5});
  CHECK(verdict.kind == Kind::kNotLinearizable);
  CHECK(verdict.key == "z");
}

TEST_CASE("a history that cannot be one is refused") {
  CHECK_THROWS_AS(check_linearizability(std::vector{read({5, 4}, {})}), std::invalid_argument);
  Operation nothing = write({1, 2}, "a");
  nothing.value.reset();
  CHECK_THROWS_AS(check_linearizability(std::vector{nothing}), std::invalid_argument);
}

TEST_CASE("a recorder numbers calls and answers as they come") {
  HistoryRecorder history;
  const auto put = history.invoke({.process = 1, .call = Call::kWrite, .key = "k", .value = "a"});
  const auto get = history.invoke({.process = 2, .call = Call::kRead, .key = "k"});
  const auto lost = history.invoke({.process = 3, .call = Call::kWrite, .key = "k", .value = "b"});
  history.ok(get, "a", 1);
  history.ok(put, {}, 1);
  history.info(lost);
  CHECK_THROWS_AS(history.ok(put, {}, 1), std::invalid_argument);
  const auto again = history.invoke({.process = 2, .call = Call::kRead, .key = "k"});
  history.ok(again, "b", 2);
  const Verdict verdict = check_linearizability(history.operations());
  INFO(verdict.text);
  CHECK(verdict.kind == Kind::kLinearizable);
  CHECK(to_string(history.operations()[0]) == "p1 write \"a\": ok, revision 1   [1, 5]");
  CHECK(to_string(history.operations()[2]) == "p3 write \"b\": unknown   [3, ...]");
}

TEST_CASE("the checker agrees with brute force on thousands of small histories") {
  std::size_t right = 0;
  std::size_t wrong = 0;
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    wire::Prng random(seed);
    history::RandomHistoryOptions options;
    options.operations = random.between(2, 7);
    options.processes = static_cast<int>(random.between(1, 5));
    options.values = random.below(5);
    options.with_revisions = random.below(2) == 0;
    options.unknown_ppm = static_cast<std::uint32_t>(random.below(500'000));
    std::vector<Operation> history = history::random_history(random, options);
    const std::uint64_t changes = random.below(4);
    for (std::uint64_t i = 0; i < changes; ++i) history::mutate(random, history);
    const bool expected = is_linearizable_by_brute_force(history);
    const Verdict verdict = check_linearizability(history);
    std::string text;
    for (const Operation& operation : history) text += to_string(operation) + '\n';
    INFO("seed " << seed << '\n' << text << verdict.text);
    if (changes == 0) REQUIRE(expected);
    REQUIRE(verdict.kind == (expected ? Kind::kLinearizable : Kind::kNotLinearizable));
    ++(expected ? right : wrong);
  }
  CHECK(right > 5000);
  CHECK(wrong > 2000);
}

TEST_CASE("what a core contains contradicts itself also by brute force") {
  std::size_t cores = 0;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    wire::Prng random(seed);
    history::RandomHistoryOptions options;
    options.values = random.below(5);
    std::vector<Operation> history = history::random_history(random, options);
    for (int i = 0; i < 3; ++i) history::mutate(random, history);
    const Verdict verdict = check_linearizability(history);
    if (verdict.kind != Kind::kNotLinearizable) continue;
    ++cores;
    // All others: reads left out, changes of unknown outcome.
    std::vector<Operation> weaker;
    for (std::size_t i = 0; i < history.size(); ++i) {
      const bool in_core =
          std::find(verdict.core.begin(), verdict.core.end(), i) != verdict.core.end();
      if (in_core) weaker.push_back(history[i]);
      const bool may_happen =
          history[i].call != Call::kRead && history[i].outcome != Outcome::kFail;
      if (in_core || !may_happen) continue;
      weaker.push_back(unknown(history[i]));
      weaker.back().expected.reset();
    }
    INFO("seed " << seed << '\n' << verdict.text);
    REQUIRE_FALSE(is_linearizable_by_brute_force(weaker));
  }
  CHECK(cores > 500);
}

TEST_CASE("long histories of many clients are decided") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    wire::Prng random(seed);
    history::RandomHistoryOptions options;
    options.operations = 400;
    options.processes = static_cast<int>(random.between(2, 8));
    options.values = 0;
    options.with_revisions = seed % 2 == 0;
    options.unknown_ppm = 30'000;
    std::vector<Operation> history = history::random_history(random, options);
    INFO("seed " << seed);
    const Verdict right = check_linearizability(history);
    INFO(right.text);
    REQUIRE(right.kind == Kind::kLinearizable);
    // One read of a value from long ago.
    const auto last_read = std::find_if(history.rbegin(), history.rend(), [](const Operation& o) {
      return o.call == Call::kRead && o.outcome == Outcome::kOk && o.value;
    });
    const auto first_read = std::find_if(history.begin(), history.end(), [](const Operation& o) {
      return o.call == Call::kRead && o.outcome == Outcome::kOk && o.value;
    });
    last_read->value = first_read->value;
    if (last_read->revision) last_read->revision = first_read->revision;
    const Verdict wrong = check_linearizability(history);
    INFO(wrong.text);
    REQUIRE(wrong.kind == Kind::kNotLinearizable);
    CHECK(wrong.core.size() <= (options.with_revisions ? 4 : history.size() / 2));
  }
}
