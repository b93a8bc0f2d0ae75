#include "support/linearizability_search.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <map>
#include <optional>
#include <utility>

namespace bib::support {
namespace {

constexpr std::size_t kSlots = 512;      // operations under way at a time, unknown ones included
constexpr std::size_t kBucketsMin = 64;  // powers of two
constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
constexpr std::uint32_t kNotSet = 0;
constexpr std::uint32_t kUnread = 1;  // written once and never read; never equal to itself

class Slots {
 public:
  bool has(std::size_t slot) const { return (words_[slot / 64] >> (slot % 64) & 1U) != 0; }
  void set(std::size_t slot) { words_[slot / 64] |= std::uint64_t{1} << (slot % 64); }
  void clear(std::size_t slot) { words_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64)); }

  bool operator==(const Slots&) const = default;
  Slots operator&(const Slots& other) const {
    Slots both;
    for (std::size_t i = 0; i < words_.size(); ++i) both.words_[i] = words_[i] & other.words_[i];
    return both;
  }
  bool is_within(const Slots& other) const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      if ((words_[i] & ~other.words_[i]) != 0) return false;
    }
    return true;
  }
  std::uint64_t hash() const {
    std::uint64_t hash = 0;
    for (const std::uint64_t word : words_) {
      hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
      hash ^= hash >> 29U;
    }
    return hash;
  }

 private:
  std::array<std::uint64_t, kSlots / 64> words_{};
};

struct State {
  std::uint32_t value = kNotSet;
  std::uint64_t revision = 0;  // goes on counting while the key is not set

  bool operator==(const State&) const = default;
  std::uint64_t shown() const { return value == kNotSet ? 0 : revision; }
};

// An operation as the search sees it.
struct Move {
  enum class Kind : std::uint8_t { kRead, kRefusal, kWrite, kDelete };

  Kind kind = Kind::kRead;
  bool must_happen = false;
  bool deletes = false;  // also of a refusal
  std::uint32_t value = kNotSet;
  std::optional<std::uint64_t> expected;
  std::optional<std::uint64_t> revision;
  std::uint64_t revision_max = kNoLimit;  // it cannot happen in a state beyond
  std::size_t same_before = kNone;        // an older unknown move that does the same
  std::size_t slot = kNone;               // while it is under way

  // The state afterwards, if it can happen in this one. Without `counts`, which is for keys of
  // which no revision matters, all changes leave revision 1.
  std::optional<State> apply(const State& state, bool counts) const;
};

std::optional<State> Move::apply(const State& state, bool counts) const {
  const std::uint64_t shown = state.shown();
  if (kind == Kind::kRead) {
    if (value != state.value || (revision && *revision != shown)) return std::nullopt;
    return state;
  }
  if (kind == Kind::kRefusal) {
    if (*revision != shown) return std::nullopt;
    if (expected == shown && !(deletes && state.value == kNotSet)) return std::nullopt;
    return state;
  }
  if (expected && *expected != shown) return std::nullopt;
  if (kind == Kind::kDelete && state.value == kNotSet) return std::nullopt;
  const bool changes = kind == Kind::kDelete || value != state.value || value == kUnread;
  const State next{value, counts ? state.revision + (changes ? 1 : 0) : 1};
  if (revision && *revision != next.revision) return std::nullopt;
  return next;
}

struct Configuration {
  State state;
  Slots must;   // those that have taken effect among the moves that must happen
  Slots spent;  // the unknown moves that have taken effect, or no longer can
};

// Configurations without those that another one makes superfluous.
class Frontier {
 public:
  Frontier() : buckets_(kBucketsMin, kNone) {}

  void clear() {
    items_.clear();
    links_.clear();
    buckets_.assign(kBucketsMin, kNone);
    alive_ = 0;
  }
  // False: there is one already that can do all that this one can.
  bool add(const Configuration& added);

  // By number, also while adding; a superfluous one may have been added before the better one.
  std::size_t size() const { return items_.size(); }
  const Configuration& operator[](std::size_t i) const { return items_[i]; }
  bool is_alive(std::size_t i) const { return links_[i].alive; }
  std::size_t alive() const { return alive_; }

 private:
  struct Link {
    std::size_t next = kNone;
    bool alive = true;
  };
  static std::uint64_t hash(const Configuration& item) {
    return item.must.hash() ^ ((item.state.revision * 31 + item.state.value) * 0xff51afd7ed558ccdU);
  }
  std::size_t& bucket(const Configuration& item) {
    return buckets_[(hash(item) >> 7U) & (buckets_.size() - 1)];
  }
  void grow();

  std::vector<Configuration> items_;
  std::vector<Link> links_;
  std::vector<std::size_t> buckets_;
  std::size_t alive_ = 0;
};

bool Frontier::add(const Configuration& added) {
  for (std::size_t i = bucket(added); i != kNone; i = links_[i].next) {
    const Configuration& known = items_[i];
    if (!links_[i].alive || known.state != added.state || known.must != added.must) continue;
    if (known.spent.is_within(added.spent)) return false;
    if (added.spent.is_within(known.spent)) {
      links_[i].alive = false;
      --alive_;
    }
  }
  if (items_.size() >= buckets_.size()) grow();
  std::size_t& head = bucket(added);
  links_.push_back({head, true});
  items_.push_back(added);
  head = items_.size() - 1;
  ++alive_;
  return true;
}

void Frontier::grow() {
  buckets_.assign(buckets_.size() * 4, kNone);
  for (std::size_t i = 0; i < items_.size(); ++i) {
    std::size_t& head = bucket(items_[i]);
    links_[i].next = head;
    head = i;
  }
}

// ---- operations to moves

// Numbers for the values of one key.
class Values {
 public:
  Values(std::span<const Operation* const> operations, const std::vector<bool>& relaxed) {
    std::map<std::string_view, std::pair<std::size_t, bool>> uses;  // writes, read
    for (std::size_t i = 0; i < operations.size(); ++i) {
      const Operation& operation = *operations[i];
      if (!operation.value) continue;
      auto& [writes, read] = uses[*operation.value];
      if (operation.call == Call::kWrite) ++writes;
      if (operation.call == Call::kRead && !(!relaxed.empty() && relaxed[i])) read = true;
    }
    for (const auto& [value, use] : uses) {
      const bool unread = use.first <= 1 && !use.second;
      numbers_[value] = unread ? kUnread : static_cast<std::uint32_t>(texts_.size());
      if (!unread) texts_.push_back(value);
    }
  }

  std::uint32_t number(const std::optional<std::string>& value) const {
    return value ? numbers_.at(*value) : kNotSet;
  }
  std::string text(const State& state, bool counts) const {
    if (state.value == kNotSet) return "not set";
    const std::string revision = counts ? " at revision " + std::to_string(state.revision) : "";
    if (state.value == kUnread) return "a value that nobody read" + revision;
    return '"' + std::string(texts_[state.value]) + '"' + revision;
  }

 private:
  std::map<std::string_view, std::uint32_t> numbers_;
  std::vector<std::string_view> texts_{"", ""};
};

// nullopt: it says nothing about the register.
std::optional<Move> to_move(const Operation& operation, bool relaxed, const Values& values) {
  const Outcome outcome = relaxed ? Outcome::kInfo : operation.outcome;
  if (relaxed && operation.outcome == Outcome::kFail) return std::nullopt;
  if (outcome != Outcome::kOk && operation.call == Call::kRead) return std::nullopt;
  Move move;
  move.must_happen = outcome != Outcome::kInfo;
  if (!relaxed) move.expected = operation.expected;
  move.deletes = operation.call == Call::kDelete;
  if (move.must_happen) move.revision = operation.revision;
  if (outcome == Outcome::kFail) {
    if (!operation.revision) return std::nullopt;
    move.kind = Move::Kind::kRefusal;
    if (*operation.revision > 0) move.revision_max = *operation.revision;
    return move;
  }
  move.kind = operation.call == Call::kRead    ? Move::Kind::kRead
              : operation.call == Call::kWrite ? Move::Kind::kWrite
                                               : Move::Kind::kDelete;
  if (operation.call != Call::kDelete) move.value = values.number(operation.value);
  // What has shown or expects a revision above 0 is too late in any state beyond.
  if (move.revision && *move.revision > 0) move.revision_max = *move.revision;
  if (move.expected && *move.expected > 0) {
    move.revision_max = std::min(move.revision_max, *move.expected);
  }
  return move;
}

// ---- the search

class Searcher {
 public:
  Searcher(std::span<const Operation* const> operations, const std::vector<bool>& relaxed,
           const CheckLimits& limits)
      : limits_(limits), values_(operations, relaxed) {
    order_events(operations, relaxed);
    frontier_.add({});
  }

  Search run();

 private:
  struct Event {
    std::uint64_t place;
    bool completes;  // at one place, calls come first
    std::size_t move;
  };

  void order_events(std::span<const Operation* const> operations, const std::vector<bool>& relaxed);
  bool begin(std::size_t move);
  bool complete(std::size_t move);
  // Lets everything happen that costs nothing. False: this configuration leads nowhere.
  bool settle(Configuration& configuration);
  void forget(std::size_t move);
  void forget_spent();
  bool too_much();

  CheckLimits limits_;
  Values values_;
  bool counts_ = false;
  std::vector<Move> moves_;
  std::vector<std::size_t> places_;  // of each move among the operations
  std::vector<Event> events_;
  std::vector<std::size_t> under_way_;  // moves, oldest first
  std::vector<std::size_t> free_slots_;
  std::size_t slots_used_ = 0;
  Frontier frontier_;
  Frontier tried_;
  Frontier next_;
  Search result_;
};

void Searcher::order_events(std::span<const Operation* const> operations,
                            const std::vector<bool>& relaxed) {
  using What = std::pair<std::pair<Move::Kind, std::uint32_t>, std::optional<std::uint64_t>>;
  std::vector<std::size_t> by_call(operations.size());
  for (std::size_t i = 0; i < by_call.size(); ++i) by_call[i] = i;
  std::stable_sort(by_call.begin(), by_call.end(), [&](std::size_t a, std::size_t b) {
    return operations[a]->invoked < operations[b]->invoked;
  });
  std::map<What, std::size_t> latest;
  for (const std::size_t i : by_call) {
    auto move = to_move(*operations[i], !relaxed.empty() && relaxed[i], values_);
    if (!move) continue;
    const std::size_t number = moves_.size();
    if (!move->must_happen) {
      const What what{{move->kind, move->value}, move->expected};
      const auto [found, is_new] = latest.try_emplace(what, number);
      if (!is_new) move->same_before = std::exchange(found->second, number);
    }
    // Whether a key is set shows also without counting.
    if (move->revision || move->expected.value_or(0) > 0) counts_ = true;
    events_.push_back({operations[i]->invoked, false, number});
    if (move->must_happen) events_.push_back({operations[i]->completed, true, number});
    moves_.push_back(*move);
    places_.push_back(i);
  }
  std::stable_sort(events_.begin(), events_.end(), [](const Event& a, const Event& b) {
    return std::pair(a.place, a.completes) < std::pair(b.place, b.completes);
  });
}

Search Searcher::run() {
  for (const Event& event : events_) {
    const bool goes_on = event.completes ? complete(event.move) : begin(event.move);
    if (!goes_on) break;
  }
  return std::move(result_);
}

bool Searcher::too_much() {
  const bool steps = result_.steps > limits_.steps_max;
  const std::size_t kept = frontier_.size() + tried_.size() + next_.size();
  if (!steps && kept <= limits_.configurations_max) return false;
  result_.kind = Verdict::Kind::kUnknown;
  result_.unknown_because =
      steps ? "more than " + std::to_string(limits_.steps_max) + " steps"
            : "more than " + std::to_string(limits_.configurations_max) + " configurations";
  return true;
}

bool Searcher::begin(std::size_t move) {
  if (free_slots_.empty() && slots_used_ == kSlots) {
    result_.kind = Verdict::Kind::kUnknown;
    result_.unknown_because =
        "more than " + std::to_string(kSlots) + " operations under way or of unknown outcome";
    return false;
  }
  if (free_slots_.empty()) free_slots_.push_back(slots_used_++);
  moves_[move].slot = free_slots_.back();
  free_slots_.pop_back();
  under_way_.push_back(move);
  return true;
}

bool Searcher::settle(Configuration& configuration) {
  for (const std::size_t number : under_way_) {
    const Move& move = moves_[number];
    if (!move.must_happen) {
      if (configuration.state.revision > move.revision_max) configuration.spent.set(move.slot);
      continue;
    }
    if (configuration.must.has(move.slot)) continue;
    if (configuration.state.revision > move.revision_max) return false;
    // Not so a write that changes nothing here: it may be needed where it does.
    if (move.kind != Move::Kind::kRead && move.kind != Move::Kind::kRefusal) continue;
    ++result_.steps;
    if (move.apply(configuration.state, counts_)) configuration.must.set(move.slot);
  }
  return true;
}

bool Searcher::complete(std::size_t completed) {
  const std::size_t slot = moves_[completed].slot;
  tried_.clear();
  next_.clear();
  const auto reach = [&](Configuration configuration) {
    if (!settle(configuration)) return;
    (configuration.must.has(slot) ? next_ : tried_).add(configuration);
  };
  for (std::size_t i = 0; i < frontier_.size(); ++i) {
    if (frontier_.is_alive(i)) reach(frontier_[i]);
  }
  for (std::size_t i = 0; i < tried_.size(); ++i) {
    if (!tried_.is_alive(i)) continue;
    if (too_much()) return false;
    const Configuration from = tried_[i];
    for (const std::size_t number : under_way_) {
      const Move& move = moves_[number];
      const Slots& done = move.must_happen ? from.must : from.spent;
      if (done.has(move.slot)) continue;
      if (move.same_before != kNone) {
        const Move& older = moves_[move.same_before];
        if (older.slot != kNone && !from.spent.has(older.slot)) continue;
      }
      ++result_.steps;
      const auto state = move.apply(from.state, counts_);
      if (!state) continue;
      Configuration to = from;
      to.state = *state;
      (move.must_happen ? to.must : to.spent).set(move.slot);
      reach(to);
    }
  }
  if (next_.alive() == 0) {
    result_.kind = Verdict::Kind::kNotLinearizable;
    result_.failed_at = places_[completed];
    for (std::size_t i = 0; i < frontier_.size() && result_.possible.size() < 8; ++i) {
      std::string text = values_.text(frontier_[i].state, counts_);
      const auto& known = result_.possible;
      if (!frontier_.is_alive(i) || std::find(known.begin(), known.end(), text) != known.end()) {
        continue;
      }
      result_.possible.push_back(std::move(text));
    }
    return false;
  }
  std::swap(frontier_, next_);
  forget(completed);
  forget_spent();
  return true;
}

// In all configurations it has taken effect (or cannot any more): its slot is free again.
void Searcher::forget(std::size_t move) {
  const std::size_t slot = std::exchange(moves_[move].slot, kNone);
  free_slots_.push_back(slot);
  std::erase(under_way_, move);
  next_.clear();
  for (std::size_t i = 0; i < frontier_.size(); ++i) {
    if (!frontier_.is_alive(i)) continue;
    Configuration configuration = frontier_[i];
    configuration.must.clear(slot);
    configuration.spent.clear(slot);
    next_.add(configuration);
  }
  std::swap(frontier_, next_);
}

void Searcher::forget_spent() {
  std::optional<Slots> everywhere;
  for (std::size_t i = 0; i < frontier_.size(); ++i) {
    if (!frontier_.is_alive(i)) continue;
    everywhere = everywhere ? *everywhere & frontier_[i].spent : frontier_[i].spent;
  }
  if (!everywhere || *everywhere == Slots{}) return;
  const std::vector<std::size_t> moves = under_way_;
  for (const std::size_t move : moves) {
    if (!moves_[move].must_happen && everywhere->has(moves_[move].slot)) forget(move);
  }
}

}  // namespace

Search search_order(std::span<const Operation* const> operations, const std::vector<bool>& relaxed,
                    const CheckLimits& limits) {
  return Searcher(operations, relaxed, limits).run();
}

}  // namespace bib::support
