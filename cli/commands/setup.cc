// bib setup --daemon: writes a node's configuration; it never starts one.
#include <filesystem>
#include <iostream>
#include <iterator>

#include "cli/client/address.h"
#include "cli/commands/bib_command.h"
#include "cli/config/config_file.h"
#include "cli/config/config_text.h"
#include "cli/config/setup_plan.h"

namespace bib::cli {
namespace {

struct SetupCommand {
  SetupOptions options;
  bool daemon = false;
  bool cluster = false;
  std::optional<std::string> join;
  bool yes = false;
  bool force = false;
  std::string config_path;
};

// A question on stderr; an empty answer means the default. nullopt: the input has ended.
std::optional<std::string> ask(const Context& context, std::string_view question,
                               const std::string& preset) {
  context.err << question << " [" << preset << "]: " << std::flush;
  std::string answer;
  if (!std::getline(context.in, answer)) {
    context.note("");
    return std::nullopt;
  }
  const std::size_t begin = answer.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return preset;
  return answer.substr(begin, answer.find_last_not_of(" \t\r") - begin + 1);
}

// What an option leaves open, with the key of the configuration that it becomes.
struct Question {
  std::string& value;
  std::string_view text;
  std::string preset;
  std::string_view key;
};

wire::Status check_answer(const Context& context, const Question& question,
                          const std::string& answer) {
  const wire::ConfigKey& key = *wire::find_config_key(question.key);
  if (answer.empty()) return wire::fail(wire::ErrorCode::kInvalid, "there is no default; give one");
  // As on the command line, a path may be relative to where the person is.
  if (key.kind == wire::ValueKind::kPath && answer.front() != '~') return {};
  wire::NodeConfig scratch;
  return set_from_text(scratch, key, answer, context.environment.home());
}

// Asks until the answer can be used. False: the input has ended.
bool settle(const Context& context, const Question& question) {
  while (question.value.empty()) {
    const auto answer = ask(context, question.text, question.preset);
    if (!answer) return false;
    const auto status = check_answer(context, question, *answer);
    if (status) question.value = *answer;
    if (!status) context.note(status.error().message);
  }
  return true;
}

// False: the input has ended.
bool ask_questions(const Context& context, SetupOptions& options) {
  const wire::NodeConfig& before = options.before;
  std::vector<Question> questions;
  if (options.mode == SetupMode::kNewCluster) {
    questions.push_back(
        {options.cluster_name, "Cluster name", before.cluster_name, "cluster.cluster_name"});
  }
  questions.push_back({options.data_dir, "Data directory",
                       default_data_dir(before, context.environment), "cluster.data_dir"});
  if (options.mode != SetupMode::kSingle) {
    questions.push_back(
        {options.listen, "Address for other nodes", before.listen_addr, "cluster.listen_addr"});
  }
  for (const Question& question : questions) {
    if (!settle(context, question)) return false;
  }
  const Question api{options.api_listen, "Address for clients",
                     options.mode == SetupMode::kSingle
                         ? before.api_listen_addr
                         : default_api_address(options.listen, before),
                     "api.listen_addr"};
  if (!settle(context, api)) return false;
  if (options.is_insecure() ||
      (!is_beyond_loopback(options.listen) && !is_beyond_loopback(options.api_listen))) {
    return true;
  }
  context.note(
      "Connections are not encrypted or authenticated yet (no TLS): anyone who reaches these "
      "ports can read and change everything.");
  const auto answer = ask(context, "Listen there nevertheless? yes or no", "no");
  options.insecure = answer == "yes" || answer == "y";
  return answer.has_value();
}

// The secret stays out of the process list and the shell's history this way.
std::string read_token_text(const Context& context, const std::string& argument) {
  if (argument != "-") return argument;
  using Characters = std::istreambuf_iterator<char>;
  return std::string(Characters(context.in), Characters());
}

bool holds_data(const std::string& data_dir) {
  std::error_code error;
  return std::filesystem::exists(data_dir, error) && !std::filesystem::is_empty(data_dir, error) &&
         !error;
}

// The configuration that is replaced, as its file says it: what a variable says now is not in it.
wire::NodeConfig configuration_before(const Context& context, const std::string& path) {
  std::map<std::string, std::string> variables = context.environment.variables();
  std::erase_if(variables, [](const auto& one) { return one.first.rfind("BIBD_", 0) == 0; });
  ConfigSources sources;
  sources.path = path;
  const LoadedConfig loaded = load_config(sources, Environment(std::move(variables)));
  if (!loaded.file_found) return {};
  context.note(
      fmt::format("Values that are not given now stay as they are in {}, except the node id "
                  "and the join token.",
                  context.environment.shown_path(path)));
  if (!loaded.problems.empty())
    context.note("It has mistakes; what cannot be used of it is not kept:");
  for (const ConfigProblem& problem : loaded.problems) context.note(printable(to_string(problem)));
  return loaded.config;
}

std::string start_command(const Context& context, const std::string& path) {
  if (path == context.environment.config_path()) return "bibd";
  return "bibd --config " + path;
}

std::string text_for(const Context& context, const SetupCommand& command, const std::string& path,
                     const SetupPlan& plan) {
  std::string text =
      fmt::format("✓ Configuration saved to: {}\n\n", context.environment.shown_path(path));
  const wire::NodeConfig& config = plan.config;
  switch (command.options.mode) {
    case SetupMode::kSingle:
      return text + fmt::format("Node ID: {}\n", wire::to_string(config.node_id));
    case SetupMode::kJoin:
      return text + fmt::format(
                        "=== Joining Cluster ===\n"
                        "Node ID: {}\n"
                        "Cluster Name: {}\n"
                        "Leader Address: {}\n",
                        wire::to_string(config.node_id), config.cluster_name, plan.join_address);
    case SetupMode::kNewCluster:
      break;
  }
  return text + fmt::format(
                    "=== Cluster Initialized ===\n"
                    "Node ID: {}\n"
                    "Cluster Name: {}\n\n"
                    "Share this join token with other nodes:\n\n"
                    "  {}\n\n"
                    "To join another node to this cluster, run:\n"
                    "  bib setup --daemon --cluster-join <token>\n\n"
                    "NOTE: A minimum of 3 voting nodes is required for HA quorum.\n",
                    wire::to_string(config.node_id), config.cluster_name, config.join_token);
}

Json data_for(const SetupCommand& command, const std::string& path, const SetupPlan& plan) {
  Json data = {{"config", path},
               {"node_id", wire::to_string(plan.config.node_id)},
               {"cluster_name", plan.config.cluster_name}};
  if (command.options.mode == SetupMode::kNewCluster) data["token"] = plan.config.join_token;
  if (command.options.mode == SetupMode::kJoin) data["leader_addr"] = plan.join_address;
  return data;
}

ExitCode write_and_print(const Context& context, const SetupCommand& command,
                         const std::string& path, const SetupPlan& plan) {
  const auto written = write_config_file(path, render_config(plan.config), command.force);
  if (!written) return context.report(written.error());
  context.emit(data_for(command, path, plan), text_for(context, command, path, plan));
  if (context.format != OutputFormat::kTable) return ExitCode::kOk;
  if (command.options.mode == SetupMode::kNewCluster &&
      !is_beyond_loopback(plan.config.listen_addr)) {
    context.note(
        fmt::format("This node listens on {} only: nodes on other machines cannot reach it "
                    "(--listen HOST:PORT --insecure).",
                    plan.config.listen_addr));
  }
  context.note("Start this node: " + start_command(context, path));
  return ExitCode::kOk;
}

ExitCode setup(const Context& context, SetupCommand& command) {
  SetupOptions& options = command.options;
  if (!command.daemon) {
    return context.report(ExitCode::kUsage, "say what to set up: --daemon",
                          "Usage: `bib setup --daemon [--cluster | --cluster-join TOKEN]`");
  }
  if (command.cluster) options.mode = SetupMode::kNewCluster;
  if (command.join) options.mode = SetupMode::kJoin;

  std::string path =
      command.config_path.empty()
          ? context.environment.config_path()
          : std::filesystem::absolute(command.config_path).lexically_normal().string();
  if (path.empty()) {
    return context.report(ExitCode::kConfiguration,
                          "HOME is not set, so there is no place for the configuration; "
                          "nothing was written",
                          "Name one: --config FILE, with --data-dir DIR");
  }
  std::error_code error;
  if (!command.force && std::filesystem::exists(path, error)) {
    return context.report(ExitCode::kConfiguration,
                          fmt::format("{} exists already, and nothing was changed",
                                      context.environment.shown_path(path)),
                          "Replace it with --force, or write another with --config FILE");
  }

  if (command.join && command.join->size() > 1 && command.join->front() == '-') {
    return context.report(ExitCode::kUsage,
                          fmt::format("--cluster-join needs a token, and '{}' is an option",
                                      printable(*command.join)),
                          "Give the token after it, or - to read it from standard input");
  }
  if (command.force) options.before = configuration_before(context, path);
  if (command.join) options.join_token = read_token_text(context, *command.join);
  const bool input_is_free = !command.join || *command.join != "-";
  const bool asks = context.in_is_terminal && !command.yes && input_is_free;
  if (asks && !ask_questions(context, options)) {
    return context.report(ExitCode::kGeneral, "the input ended; nothing was written",
                          "Take the defaults for what is left open with --yes");
  }

  const auto plan = plan_setup(options, context.environment, machine_address);
  if (!plan) return context.report(plan.error());
  if (!command.force && holds_data(plan->config.data_dir)) {
    return context.report(ExitCode::kConfiguration,
                          fmt::format("the data directory {} is not empty: an earlier node's data "
                                      "would meet a new node's id; nothing was written",
                                      plan->config.data_dir),
                          "Choose another with --data-dir DIR, or continue with --force");
  }
  return write_and_print(context, command, path, *plan);
}

void add_options(CLI::App* app, SetupCommand& command) {
  SetupOptions& options = command.options;
  const wire::NodeConfig defaults;
  const auto help = [](const char* text, const std::string& preset) {
    return fmt::format("{} ({})", text, preset);
  };
  app->add_flag("--daemon", command.daemon, "Write the configuration of a node (bibd)");
  auto* cluster =
      app->add_flag("--cluster", command.cluster, "Found a new cluster, and print a join token");
  app->add_option("--cluster-join", command.join,
                  "Join a cluster with this token; - reads it from standard input")
      ->type_name("TOKEN")
      ->excludes(cluster);
  app->add_flag("-y,--yes,--non-interactive", command.yes, "Ask nothing; take the defaults");
  app->add_flag("--force", command.force,
                "Replace an existing configuration; what is not said again is kept");
  app->add_option("--config", command.config_path, "The file to write")->type_name("FILE");
  app->add_option("--data-dir", options.data_dir, "Where the node keeps its data")
      ->type_name("DIR");
  app->add_option("--listen", options.listen,
                  help("Where other nodes reach it", defaults.listen_addr))
      ->type_name("HOST:PORT");
  app->add_option("--advertise", options.advertise, "What other nodes are told to dial")
      ->type_name("HOST:PORT");
  app->add_option("--api-listen", options.api_listen,
                  help("Where clients reach it", defaults.api_listen_addr))
      ->type_name("HOST:PORT");
  app->add_option("--api-advertise", options.api_advertise, "What clients are told to dial")
      ->type_name("HOST:PORT");
  app->add_option("--cluster-name", options.cluster_name,
                  help("The cluster's name", defaults.cluster_name))
      ->type_name("NAME");
  app->add_option("--node-id", options.node_id, "16 hex digits; drawn at random without it")
      ->type_name("HEX");
  app->add_flag("--non-voter", options.non_voter, "Join without a vote");
  app->add_flag("--insecure", options.insecure,
                "Allow addresses beyond loopback although there is no TLS yet");
}

}  // namespace

void add_setup_commands(Commands& commands) {
  auto& command = commands.keep<SetupCommand>();
  Context& context = commands.context();
  CLI::App* app = commands.app().add_subcommand("setup", "Write the configuration of a node");
  add_options(app, command);
  commands.on(*app, [&] { return setup(context, command); });
}

}  // namespace bib::cli
