// docs/metrics.md against the names that `bib cluster status -o json` prints. Its counters are
// compared with those of a node in tests/cluster/reading_test.cc, and the figures of a bench in
// tests/cli.
#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "cli/commands/cluster_view.h"
#include "support/document.h"

using namespace bib;
using cli::Json;

namespace {

// "node.uptime_seconds", "members[].id": the names of all values.
void flatten(const Json& json, const std::string& name, std::set<std::string>& names) {
  if (json.is_object() && !json.empty()) {
    for (const auto& [key, value] : json.items()) {
      flatten(value, name.empty() ? key : name + "." + key, names);
    }
  } else if (json.is_array() && !json.empty()) {
    for (const Json& element : json) flatten(element, name + "[]", names);
  } else {
    names.insert(name);
  }
}

}  // namespace

TEST_CASE("docs/metrics.md has every name of the cluster's status, and no other") {
  cli::ClusterView view;
  view.joint = true;  // every name that there can be
  view.members.emplace_back().known = true;
  view.projections.emplace_back();
  std::set<std::string> names;
  flatten(cli::to_json(view), "", names);
  REQUIRE(names.erase("node.counters") == 1);  // none here
  const auto documented = support::names_of(
      support::table_rows(support::document_lines("docs/metrics.md"), "## The cluster's status"));
  CHECK(std::set<std::string>(documented.begin(), documented.end()) == names);
}
