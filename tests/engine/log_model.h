// LogModel: what a log must hold, as plain vectors, and random writes to try on both.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/ports/file.h"
#include "engine/storage/log_store.h"
#include "wire/base/bytes.h"
#include "wire/base/prng.h"
#include "wire/log/entry.h"

namespace bib::engine {

inline constexpr char kLogDirectory[] = "/data/log";

LogStoreOptions test_options();
wire::Bytes make_entry(std::uint64_t index, std::uint64_t term, std::size_t size,
                       std::uint64_t seed = 1);
wire::Bytes membership_entry(std::uint64_t index, std::uint64_t term, std::uint64_t voter);
std::vector<std::uint8_t> membership_of(std::uint64_t voter);

class LogModel {
 public:
  wire::LogPosition base;
  std::vector<wire::Bytes> entries;
  wire::HardState hard_state;
  // Of each membership in the log: index and the one voter.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> memberships;

  wire::LogPosition last() const;
  wire::Term term_at(std::uint64_t index) const;
  void apply(const LogStoreWrite& write);
  // The write's parts one by one: what a crash may leave of it.
  static std::vector<LogStoreWrite> split(const LogStoreWrite& write);

  // Everything that matters as text, so that two can be compared and a difference be read.
  std::string describe() const;
  static std::string describe(FileSystem& files, LogStore::Recovered& recovered);
};

struct Appetite {
  std::size_t entry_bytes_max = 3000;
  std::uint32_t reset_ppm = 20000;
  std::uint32_t truncate_ppm = 150000;
};

// A legal next write for the model.
LogStoreWrite random_write(const LogModel& model, wire::Prng& prng, const Appetite& appetite = {});

}  // namespace bib::engine
