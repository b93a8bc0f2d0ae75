// The values of a node's configuration from text: of the file, the environment, options and
// answers.
//
// Pure functions over the table of keys (wire/config/config_key.h), which says what is allowed.
#pragma once

#include <string_view>

#include "wire/base/result.h"
#include "wire/config/config_key.h"

namespace bib::cli {

// Sets one key from its text; a list takes comma-separated items. kConfig says what is allowed;
// the message does not repeat the key. `home` replaces a leading ~ of a path.
wire::Status set_from_text(wire::NodeConfig& config, const wire::ConfigKey& key,
                           std::string_view text, std::string_view home);

}  // namespace bib::cli
