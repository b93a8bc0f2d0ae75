// bib job submit | list | show | set-state.
#include "cli/commands/bib_command.h"
#include "cli/commands/requests.h"
#include "cli/print/rows_json.h"
#include "cli/print/units.h"
#include "wire/base/time_text.h"

namespace bib::cli {
namespace {

struct JobOptions {
  std::string id;
  std::string task;
  std::string task_version;
  std::string parameters;
  std::string state;
  std::string message;
  std::string prefix;
  std::uint64_t limit = 0;
};

constexpr wire::JobState kStates[] = {wire::JobState::kSubmitted, wire::JobState::kRunning,
                                      wire::JobState::kSucceeded, wire::JobState::kFailed,
                                      wire::JobState::kCancelled};

ExitCode submit(const Context& context, const JobOptions& options) {
  const wire::SubmitJob command{options.id, options.task, options.task_version, options.parameters};
  return emit_change(context, fmt::format("Submitted job {}", options.id),
                     send_command(context, command));
}

ExitCode set_state(const Context& context, const JobOptions& options) {
  wire::SetJobState command{options.id, wire::JobState::kSubmitted, options.message};
  for (const wire::JobState state : kStates) {
    if (state_name(state) == options.state) command.state = state;
  }
  return emit_change(context, fmt::format("Job {} is {}", options.id, options.state),
                     send_command(context, command));
}

ExitCode show(const Context& context, const JobOptions& options) {
  wire::Query query;
  query.table = wire::QueryTable::kJobs;
  query.key = options.id;
  const auto status = visit_row_as<wire::JobRow>(
      context, query, fmt::format("the job {}", options.id), [&](const wire::JobRow& row) {
        context.emit(to_json(row),
                     render_fields({{"Job", std::string(row.id)},
                                    {"Task", fmt::format("{} {}", row.task, row.task_version)},
                                    {"State", std::string(state_name(row.state))},
                                    {"Message", std::string(row.message)},
                                    {"Parameters", std::string(row.parameters)},
                                    {"Revision", std::to_string(row.revision.value())},
                                    {"Submitted", wire::format_time(row.submitted_us)},
                                    {"Updated", wire::format_time(row.updated_us)}}));
      });
  return status ? ExitCode::kOk : context.report(status.error());
}

ExitCode list(const Context& context, const JobOptions& options) {
  wire::Query query;
  query.table = wire::QueryTable::kJobs;
  query.prefix = options.prefix;
  Json data = Json::array();
  Table table({"JOB", "TASK", "VERSION", "STATE", "UPDATED"});
  auto status =
      visit_rows_as<wire::JobRow>(context, query, options.limit, [&](const wire::JobRow& row) {
        if (context.format != OutputFormat::kTable) return data.push_back(to_json(row));
        table.add({std::string(row.id), std::string(row.task), std::string(row.task_version),
                   std::string(state_name(row.state)), wire::format_time(row.updated_us)});
      });
  if (!status) return context.report(status.error());
  context.emit(data, table.render());
  return ExitCode::kOk;
}

}  // namespace

void add_job_commands(Commands& commands) {
  auto& options = commands.keep<JobOptions>();
  Context& context = commands.context();
  CLI::App* job = commands.app().add_subcommand("job", "Jobs: runs of a task");
  job->require_subcommand(1);

  CLI::App* submit_command = job->add_subcommand("submit", "Submit a job");
  submit_command->add_option("ID", options.id, "A name that no other job has")->required();
  submit_command->add_option("TASK", options.task, "The task that it runs")->required();
  submit_command->add_option("--task-version", options.task_version, "Default: the latest");
  submit_command->add_option("--parameters", options.parameters, "Text for the task");
  commands.on(*submit_command, [&] { return submit(context, options); });

  CLI::App* list_command = job->add_subcommand("list", "List jobs");
  list_command->add_option("--prefix", options.prefix, "Only ids with this prefix");
  add_number(*list_command, "--limit", options.limit, "At most this many; 0: all (0)");
  commands.on(*list_command, [&] { return list(context, options); });

  CLI::App* show_command = job->add_subcommand("show", "Show a job");
  show_command->add_option("ID", options.id, "The job's id")->required();
  commands.on(*show_command, [&] { return show(context, options); });

  CLI::App* state_command = job->add_subcommand("set-state", "Say how a job is getting on");
  state_command->add_option("ID", options.id, "The job's id")->required();
  std::vector<std::string> states;
  for (const wire::JobState state : kStates) states.emplace_back(state_name(state));
  state_command->add_option("STATE", options.state, "running, succeeded, failed or cancelled")
      ->required()
      ->check(CLI::IsMember(states));
  state_command->add_option("--message", options.message, "Why, for people");
  commands.on(*state_command, [&] { return set_state(context, options); });
}

}  // namespace bib::cli
