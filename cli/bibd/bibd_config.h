// From the configuration file's values to engine::NodeConfig.
//
// Pure; the values have passed load_config(), so that every number fits.
#pragma once

#include "cli/config/config.h"
#include "engine/ports/node_config.h"

namespace bib::cli {

engine::NodeConfig to_node_config(const Config& config);

}  // namespace bib::cli
