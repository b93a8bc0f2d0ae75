// Importer: records of any source, pipelined into the cluster.
//
// One thread. Up to kInflight versions are under way; a topic is created, with its parents, before
// the first record that needs it is sent. Bad and refused records are reported with their place and
// the rest goes in, unless `strict`. Without a client (a dry run) nothing is sent.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cli/client/client.h"
#include "cli/importers/record_source.h"

namespace bib::cli {

struct ImportSummary {
  std::uint64_t records = 0;  // read, bad ones included
  std::uint64_t added = 0;    // with a dry run: would be sent
  std::uint64_t unchanged = 0;
  std::uint64_t refused = 0;
  std::uint64_t bad = 0;
  std::uint64_t topics_created = 0;
};

struct ImporterOptions {
  bool strict = false;
  std::vector<wire::NodeId> holders;
  std::function<void(const ImportProblem&)> on_problem;   // as they come
  std::function<void(const ImportSummary&)> on_progress;  // often; cheap to ignore
  std::function<bool()> stop;  // asked before each record; true ends the import as an error does
};

class Importer {
 public:
  static constexpr std::size_t kInflight = 512;

  // `client` may be null: a dry run.
  Importer(Client* client, ImporterOptions options)
      : client_(client), options_(std::move(options)) {}

  // An error ends the import: the cluster cannot be reached any more, or `strict` and a problem
  // (kRefused). What was in flight is answered and counted first, where that is possible.
  wire::Status import(RecordSource& source);

  const ImportSummary& summary() const { return summary_; }

 private:
  wire::Status on_record(const ImportRecord& record);
  wire::Status on_problem(ImportProblem problem, std::uint64_t& counter);
  // Empty: it exists now. Otherwise why it does not.
  wire::Result<std::string> create_topic(const ImportRecord& record);
  wire::Status collect();
  wire::Status drain();
  wire::Status on_completion(const Completion& completion);

  Client* client_;
  ImporterOptions options_;
  ImportSummary summary_;
  std::map<std::string, std::string, std::less<>> topics_;  // asked for: empty, or why not
  std::map<std::uint64_t, std::string> places_;             // by ticket
  std::vector<Completion> completions_;
};

}  // namespace bib::cli
