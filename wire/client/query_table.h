// QueryTable: what a client can read the rows of.
//
// BIB_QUERY_TABLES is the only list of them: T(enumerator, number, owner, thing, command). The
// number is what a query says. The owner is the name of the projection that keeps the rows. The
// thing is one row as a message begins, and the command is the one that lists them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bib::wire {

// kTopics: key: path.
// kDatasets: scope: topic (empty: all, in order of topic); key: name.
// kVersions: scope: "<topic>\0<dataset>"; key: version.
// kTasks: key: "<name>\0<version>".
#define BIB_QUERY_TABLES(T)                                 \
  T(kTopics, 1, "topics", "Topic", "bib topic list")        \
  T(kDatasets, 2, "catalog", "Dataset", "bib catalog list") \
  T(kVersions, 3, "catalog", "Version", "bib catalog show") \
  T(kConfig, 4, "config", "Config", "bib config list")      \
  T(kTasks, 5, "tasks", "Task", "bib task list")            \
  T(kJobs, 6, "jobs", "Job", "bib job list")

enum class QueryTable : std::uint8_t {
#define BIB_QUERY_TABLE(enumerator, number, owner, thing, command) enumerator = number,
  BIB_QUERY_TABLES(BIB_QUERY_TABLE)
#undef BIB_QUERY_TABLE
};

inline constexpr std::array kQueryTables = {
#define BIB_QUERY_TABLE(enumerator, number, owner, thing, command) QueryTable::enumerator,
    BIB_QUERY_TABLES(BIB_QUERY_TABLE)
#undef BIB_QUERY_TABLE
};
inline constexpr auto kQueryTableMin = static_cast<std::uint8_t>(kQueryTables.front());
inline constexpr auto kQueryTableMax = static_cast<std::uint8_t>(kQueryTables.back());
static_assert(
    [] {
      for (std::size_t i = 0; i < kQueryTables.size(); ++i) {
        if (static_cast<std::size_t>(kQueryTables[i]) != i + 1) return false;
      }
      return true;
    }(),
    "a table's number is its place in the list, counted from 1: what is between the first and the "
    "last is a table");

struct QueryTableWords {
  std::string_view owner;
  std::string_view thing;
  std::string_view command;
};

// The tables, in the order of the list.
inline constexpr std::array<QueryTableWords, kQueryTables.size()> kQueryTableWords = {{
#define BIB_QUERY_TABLE(enumerator, number, owner, thing, command) {owner, thing, command},
    BIB_QUERY_TABLES(BIB_QUERY_TABLE)
#undef BIB_QUERY_TABLE
}};

// `table` is one of the list: decode_query() lets no other value through.
constexpr const QueryTableWords& words_of(QueryTable table) {
  return kQueryTableWords[static_cast<std::size_t>(table) - kQueryTableMin];
}

}  // namespace bib::wire
