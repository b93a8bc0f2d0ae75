// Rows as JSON: the names and units that `bib -o json` and `-o yaml` promise to scripts.
//
// Pure functions. Times are ISO 8601 in UTC, ids hex, sizes bytes; what a row does not have is left
// out.
#pragma once

#include "cli/print/output.h"
#include "wire/model/row.h"

namespace bib::cli {

Json to_json(const wire::TopicRow& row);
Json to_json(const wire::DatasetRow& row);
Json to_json(const wire::DatasetVersionRow& row);
Json to_json(const wire::ConfigRow& row);
Json to_json(const wire::TaskRow& row);
Json to_json(const wire::JobRow& row);

std::string_view status_name(wire::TopicStatus status);

}  // namespace bib::cli
