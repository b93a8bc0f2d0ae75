// bib events list | tail: the log's events, decoded by their schema.
#include <ostream>

#include "cli/commands/bib_command.h"
#include "cli/commands/cluster_view.h"
#include "cli/commands/event_stream.h"
#include "cli/print/units.h"
#include "wire/base/time_text.h"
#include "wire/base/units.h"
#include "wire/model/event.h"

namespace bib::cli {
namespace {

struct EventOptions {
  std::string from;
  std::string stream;
  std::uint32_t limit = 0;
  std::uint32_t list_limit = 100;
};

// Events are printed as they come, so that the columns' widths are fixed; a long text moves the
// rest.
constexpr const char* kRow = "{:<10} {:<27} {:<20} {:<24} {:>8} {}\n";

// One event as it is printed. An event that cannot be decoded is shown with the reason: the others
// are still worth seeing.
Json describe(const wire::EventPrinter& printer, const wire::LoggedEvent& logged) {
  Json json = {{"position", wire::to_string(logged.position)},
               {"time", wire::format_time(logged.time_us)},
               {"term", logged.term.value()}};
  if (const auto event = wire::read_event(logged.event))
    json["stream"] = wire::event_stream(event->body);
  const auto text = printer.to_json(logged.event);
  const Json decoded = text ? Json::parse(*text, nullptr, false) : Json();
  if (decoded.is_object()) {
    json.update(decoded);
  } else {
    json["error"] = text ? "its JSON cannot be read" : text.error().message;
  }
  return json;
}

std::string text_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return {};
  return found->is_string() ? found->get<std::string>() : to_json_text(*found, false);
}

void print(const Context& context, const Json& event) {
  switch (context.format) {
    case OutputFormat::kTable: {
      const std::string body =
          event.contains("error") ? text_of(event, "error") : text_of(event, "body");
      context.out << fmt::format(kRow, text_of(event, "position"), text_of(event, "time"),
                                 printable(text_of(event, "type")),
                                 printable(text_of(event, "stream")), text_of(event, "revision"),
                                 printable(body));
      break;
    }
    case OutputFormat::kJson:
      context.out << to_json_text(event, false) << '\n';
      break;
    case OutputFormat::kYaml:
      context.out << "---\n" << to_yaml_text(event);
      break;
  }
}

// Prints the events asked for; counts them in `shown`.
wire::Result<wire::Position> stream(const Context& context, const wire::ReadEvents& request,
                                    std::uint64_t& shown) {
  BIB_TRY(const auto printer, wire::EventPrinter::from_schema(wire::event_schema()));
  const auto print_heading = [&] {
    if (context.format != OutputFormat::kTable) return;
    context.out << fmt::format(kRow, "POSITION", "TIME", "TYPE", "STREAM", "REVISION", "EVENT");
    context.out.flush();
  };
  // Who follows may wait for long, and sees that it does.
  if (request.follow) print_heading();
  return stream_events(context, request, [&](const wire::LoggedEvent& event) {
    if (shown++ == 0 && !request.follow) print_heading();
    print(context, describe(printer, event));
    if (request.follow) context.out.flush();
    return static_cast<bool>(context.out);
  });
}

wire::Result<wire::Position> parse_from(const std::string& text) {
  const auto position = wire::parse_position(text);
  if (position) return *position;
  const auto index = wire::parse_count(text);
  if (index) return wire::Position{wire::LogIndex(*index), 0};
  return wire::fail(wire::ErrorCode::kInvalid, "--from: '{}' is not a position (INDEX:OFFSET)",
                    text);
}

ExitCode list(const Context& context, const EventOptions& options) {
  wire::ReadEvents request;
  request.from = {wire::LogIndex(1), 0};
  request.limit = options.list_limit;
  request.consistency = context.consistency;
  request.stream_prefix = options.stream;
  if (!options.from.empty()) {
    const auto from = parse_from(options.from);
    if (!from) return context.report(from.error());
    request.from = *from;
  }
  std::uint64_t shown = 0;
  const auto next = stream(context, request, shown);
  if (!next) return context.report(explained(context, next.error()));
  if (shown == 0) {
    context.note(
        fmt::format("No events{}.", options.from.empty() ? "" : " from " + options.from + " on"));
  }
  if (options.list_limit != 0 && shown == options.list_limit) {
    context.note(fmt::format("Shown: {}. Continue with --from {}", counted(shown, "event"),
                             wire::to_string(*next)));
  }
  return ExitCode::kOk;
}

ExitCode tail(const Context& context, const EventOptions& options) {
  wire::ReadEvents request;
  request.limit = options.limit;
  request.follow = true;
  // What comes later cannot be confirmed now; and a watcher wants to see a cluster that has
  // lost its quorum, too.
  request.consistency = wire::Consistency::kStale;
  request.stream_prefix = options.stream;
  if (options.from.empty()) {
    const auto view = fetch_cluster_view(context);
    if (!view) return context.report(view.error());
    request.from = {view->commit + 1, 0};
  } else {
    const auto from = parse_from(options.from);
    if (!from) return context.report(from.error());
    request.from = *from;
  }
  std::uint64_t shown = 0;
  const auto next = stream(context, request, shown);
  return next ? ExitCode::kOk : context.report(next.error());
}

}  // namespace

void add_event_commands(Commands& commands) {
  auto& options = commands.keep<EventOptions>();
  Context& context = commands.context();
  CLI::App* events = commands.app().add_subcommand("events", "The log's events");
  events->require_subcommand(1);
  const auto add = [&](const char* name, const char* help) {
    CLI::App* command = events->add_subcommand(name, help);
    command->add_option("--from", options.from, "Begin at INDEX:OFFSET")->type_name("POS");
    command
        ->add_option("--stream", options.stream,
                     "Only streams with this prefix, such as dataset/science/")
        ->type_name("PREFIX");
    return command;
  };
  CLI::App* list_command = add("list", "List events, from the first or from a position");
  add_number(*list_command, "--limit", options.list_limit, "At most this many; 0: all (100)");
  const auto unless_aged = [&](auto run) {
    return [&context, &options, run] {
      if (context.max_age) {
        return context.report(ExitCode::kUsage, "--max-age bounds the age of rows, not of events");
      }
      return run(context, options);
    };
  };
  commands.on(*list_command, unless_aged(list));

  CLI::App* tail_command = add("tail", "Follow the events as they come");
  add_number(*tail_command, "--limit", options.limit, "End after this many; 0: never (0)");
  commands.on(*tail_command, unless_aged(tail));
}

}  // namespace bib::cli
