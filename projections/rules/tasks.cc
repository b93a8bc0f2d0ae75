// Tasks: named definitions in versions. Like a dataset's, a task's version never changes. Streams
// are tasks. A hidden head row by name holds the revision and the version that arrived last, which
// is what a job without a version gets.

#include <string>
#include <utility>

#include "projections/rules/projection.h"
#include "projections/rules/rules.h"
#include "projections/rules/task_head.h"
#include "projections/state/keys.h"

namespace bib::projections {

using wire::ErrorCode;
using wire::fail;
using wire::Result;
using wire::Revision;
using wire::Status;
using wire::TaskRow;

namespace {

class Tasks final : public Projection {
 public:
  Family family() const override { return Family::kTasks; }

  Result<Ruling> decide(const DecideInput& input, Draft& draft) const override {
    const auto& command = std::get<wire::RegisterTask>(input.command);
    for (const Status& status : {check_name(command.name, "The task's name"),
                                 check_name(command.version, "The task's version")}) {
      if (!status) return refuse(status.error());
    }
    BIB_TRY(const auto head, find_task_head(input.state, command.name));
    const Revision current = head.revision;
    if (auto no = check_revision(input.expected_revision, current, "Task '{}'", command.name)) {
      return *std::move(no);
    }
    RowPtr holder;
    BIB_TRY(const auto old,
            find_row<TaskRow>(input.state, Family::kTasks,
                              keys::task_version(command.name, command.version), holder));
    if (old) {
      const bool same_definition = old->definition == command.definition;
      if (same_definition && old->description == command.description) return Unchanged{current};
      return refuse(ErrorCode::kRefused, current,
                    "Version '{}' of task '{}' exists already, and differs in {}. A version never "
                    "changes: register what is new under a new version.",
                    command.version, command.name, same_definition ? "description" : "definition");
    }
    draft.add(current + 1, wire::TaskRegistered{command.name, command.version, command.definition,
                                                command.description});
    return Events{current + 1};
  }

  Status evolve(const wire::Event& event, const EventStamp& stamp, RowWriter& rows) const override {
    const auto& task = std::get<wire::TaskRegistered>(event.body);
    std::string head;
    keys::append_u64(head, event.revision.value());
    head.append(task.version);
    BIB_TRY_VOID(rows.put(Family::kTasks, keys::task_head(task.name), wire::as_bytes(head)));
    return rows.put_row(Family::kTasks, keys::task_version(task.name, task.version),
                        TaskRow{task.name, task.version, task.definition, task.description,
                                event.revision, stamp.time_us});
  }

  Result<QueryPlan> plan(const wire::Query&) const override {
    return QueryPlan{Family::kTasks, std::string(1, keys::kTaskVersionTag)};
  }
};

}  // namespace

Result<TaskHead> find_task_head(const RowReader& state, std::string_view name) {
  BIB_TRY(RowPtr row, state.find(Family::kTasks, keys::task_head(name)));
  if (!row) return TaskHead{};
  const wire::ByteView value = row->value();
  if (value.size() < 8) return fail(ErrorCode::kCorrupt, "a damaged head row of task '{}'", name);
  return TaskHead{Revision(keys::read_u64(value, 0)), wire::as_text(value.subspan(8)),
                  std::move(row)};
}

std::unique_ptr<Projection> make_tasks() {
  return std::make_unique<Tasks>();
}

}  // namespace bib::projections
