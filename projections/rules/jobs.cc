// Jobs: requests to run a version of a task, and how far they are.
//
//   submitted -> running -> succeeded | failed | cancelled
//   submitted -> cancelled | failed
//
// A running job may say something new without changing its state; a job that has ended never
// changes again. Streams are jobs.

#include <string>
#include <utility>

#include "projections/rules/projection.h"
#include "projections/rules/rules.h"
#include "projections/rules/task_head.h"
#include "projections/state/keys.h"

namespace bib::projections {

using wire::ErrorCode;
using wire::fail;
using wire::JobRow;
using wire::JobState;
using wire::Result;
using wire::Revision;
using wire::Status;

namespace {

bool may_become(JobState from, JobState to) {
  switch (from) {
    case JobState::kSubmitted:
      return to == JobState::kRunning || to == JobState::kFailed || to == JobState::kCancelled;
    case JobState::kRunning:
      return to != JobState::kSubmitted;
    case JobState::kSucceeded:
    case JobState::kFailed:
    case JobState::kCancelled:
      return false;
  }
  return false;
}

Result<Stream<JobRow>> find_job(const DecideInput& input, std::string_view id) {
  return find_stream<JobRow>(input, Family::kJobs, keys::job(id), "Job '{}'", id);
}

class Jobs final : public Projection {
 public:
  Family family() const override { return Family::kJobs; }

  Result<Ruling> decide(const DecideInput& input, Draft& draft) const override {
    if (const auto* submit = std::get_if<wire::SubmitJob>(&input.command)) {
      return decide_submit(*submit, input, draft);
    }
    return decide_state(std::get<wire::SetJobState>(input.command), input, draft);
  }

  Status evolve(const wire::Event& event, const EventStamp& stamp, RowWriter& rows) const override {
    if (const auto* submitted = std::get_if<wire::JobSubmitted>(&event.body)) {
      return rows.put_row(Family::kJobs, keys::job(submitted->id),
                          JobRow{.id = submitted->id,
                                 .task = submitted->task,
                                 .task_version = submitted->task_version,
                                 .parameters = submitted->parameters,
                                 .revision = event.revision,
                                 .submitted_us = stamp.time_us,
                                 .updated_us = stamp.time_us});
    }
    const auto& changed = std::get<wire::JobStateChanged>(event.body);
    RowPtr holder;
    BIB_TRY(auto row, find_row<JobRow>(rows, Family::kJobs, keys::job(changed.id), holder));
    if (!row) {
      return fail(ErrorCode::kCorrupt, "an event changes job '{}', which is not there", changed.id);
    }
    row->state = changed.state;
    row->message = changed.message;
    row->revision = event.revision;
    row->updated_us = stamp.time_us;
    return rows.put_row(Family::kJobs, keys::job(changed.id), *row);
  }

  Result<QueryPlan> plan(const wire::Query&) const override { return QueryPlan{Family::kJobs, ""}; }

 private:
  static Result<Ruling> decide_submit(const wire::SubmitJob& command, const DecideInput& input,
                                      Draft& draft) {
    if (auto status = check_name(command.id, "The job's id"); !status) {
      return refuse(status.error());
    }
    if (auto status = check_name(command.task, "The task's name"); !status) {
      return refuse(status.error());
    }
    BIB_TRY(auto job, find_job(input, command.id));
    if (job.conflict) return *std::move(job.conflict);
    if (job.row) return compare_existing(*job.row, command);
    BIB_TRY(TaskHead head, find_task_head(input.state, command.task));
    const bool task_exists = head.revision != Revision();
    const std::string_view version =
        command.task_version.empty() ? head.latest_version : command.task_version;
    BIB_TRY(const RowPtr task,
            input.state.find(Family::kTasks, keys::task_version(command.task, version)));
    if (!task_exists || !task) {
      return refuse(ErrorCode::kNotFound, Revision(),
                    "Job '{}' cannot be submitted because task '{}'{} is not registered. `bib task "
                    "list` shows those that are.",
                    command.id, command.task,
                    task_exists ? fmt::format(" in version '{}'", version) : std::string());
    }
    draft.add(Revision(1),
              wire::JobSubmitted{command.id, command.task, version, command.parameters});
    draft.keep(std::move(head.row));
    return Events{Revision(1)};
  }

  static Ruling compare_existing(const JobRow& old, const wire::SubmitJob& command) {
    const bool same_version =
        command.task_version.empty() || command.task_version == old.task_version;
    if (old.task == command.task && same_version && old.parameters == command.parameters) {
      return Unchanged{old.revision};
    }
    return refuse(ErrorCode::kRefused, old.revision,
                  "Job '{}' exists already with another task, version or parameters. Submit this "
                  "one under a new id.",
                  command.id);
  }

  static Result<Ruling> decide_state(const wire::SetJobState& command, const DecideInput& input,
                                     Draft& draft) {
    if (auto status = check_name(command.id, "The job's id"); !status) {
      return refuse(status.error());
    }
    BIB_TRY(auto job, find_job(input, command.id));
    if (job.conflict) return *std::move(job.conflict);
    if (!job.row) {
      return refuse(ErrorCode::kNotFound, job.revision,
                    "Job '{}' does not exist. `bib job list` shows those that do.", command.id);
    }
    const JobRow& row = *job.row;
    if (row.state == command.state && row.message == command.message) {
      return Unchanged{job.revision};
    }
    if (!may_become(row.state, command.state)) {
      return refuse(ErrorCode::kRefused, job.revision,
                    "Job '{}' is {} and cannot become {}. `bib job show {}` shows how it got "
                    "there.",
                    command.id, state_name(row.state), state_name(command.state), command.id);
    }
    draft.add(job.revision + 1, wire::JobStateChanged{command.id, command.state, command.message});
    return Events{job.revision + 1};
  }
};

}  // namespace

std::unique_ptr<Projection> make_jobs() {
  return std::make_unique<Jobs>();
}

}  // namespace bib::projections
