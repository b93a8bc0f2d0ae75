// TaskHead: a task's revision and latest version, from its hidden row. Tasks and jobs read it.
#pragma once

#include <string_view>

#include "projections/state/state.h"
#include "wire/base/ids.h"
#include "wire/base/result.h"

namespace bib::projections {

struct TaskHead {
  wire::Revision revision;          // 0: no version of the task was registered
  std::string_view latest_version;  // points into `row`
  RowPtr row;
};

wire::Result<TaskHead> find_task_head(const RowReader& state, std::string_view name);

}  // namespace bib::projections
