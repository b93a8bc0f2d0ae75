// What a person does with a cluster: asks bib, stops a node, reads its last words, and does what
// they say.
#pragma once

#include <string>
#include <vector>

#include "cluster.h"

namespace bib::cluster {

// bib succeeds, within 20 s; what it prints.
std::string must_bib(const Cluster& cluster, std::vector<std::string> arguments);
// It is asked to, and ends well.
void stop(Cluster& cluster, std::size_t node);
// Why the process has ended.
std::string last_words(const Cluster& cluster, std::size_t node);
// The words of the printed command that begins so, with `value` for its placeholder.
std::vector<std::string> printed_command(const std::string& said, const std::string& beginning,
                                         const std::string& placeholder, const std::string& value);
// Does what was said: the member is removed, the data moved away, and the node joins again and runs
// under another id.
void join_again_as_told(Cluster& cluster, std::size_t node, const std::string& said,
                        wire::NodeId old_id);

}  // namespace bib::cluster
