// Frictionless Data Package (datapackage.json): each resource becomes a version of one dataset.
//
// The topic is --topic or the package's name. A version is the resource's or the package's, else it
// is derived: from the content's hash ("sha256-<12 hex>"), else from the resource's descriptor
// ("descriptor-<12 hex>"), so that the same input always gives the same version. A hash without an
// algorithm is MD5, as the specification says. Licences, contributors, sources, keywords and the
// homepage of the package hold for resources that state none of their own.
#pragma once

#include <memory>

#include "cli/importers/line_reader.h"
#include "cli/importers/record_source.h"

namespace bib::cli {

std::unique_ptr<RecordSource> make_frictionless_source(std::unique_ptr<LineReader> lines,
                                                       SourceOptions options);

}  // namespace bib::cli
