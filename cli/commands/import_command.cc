#include "cli/commands/import_command.h"

#include <filesystem>
#include <fstream>
#include <ostream>

#include "cli/commands/cluster_view.h"
#include "cli/commands/interrupt.h"
#include "cli/importers/importer.h"
#include "cli/print/progress_line.h"
#include "cli/print/units.h"

namespace bib::cli {
namespace {

constexpr std::size_t kProblemsShown = 100;

struct ImportOptions {
  std::vector<std::string> files;
  std::string format;
  std::string topic;
  std::vector<std::string> holders;
  bool dry_run = false;
  bool strict = false;
};

// How far the import is. `bytes_all` 0: not known.
std::string progress_text(const ImportSummary& summary, std::uint64_t bytes,
                          std::uint64_t bytes_all) {
  std::string bar;
  if (bytes_all > 0) {
    constexpr std::size_t kWidth = 20;
    auto filled =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes * kWidth / bytes_all, kWidth));
    bar = fmt::format("[{}{}] ", std::string(filled, '#'), std::string(kWidth - filled, '.'));
  }
  const std::uint64_t problems = summary.bad + summary.refused;
  return fmt::format("{}{} added, {} unchanged{}", bar, summary.added, summary.unchanged,
                     problems == 0 ? "" : ", " + counted(problems, "problem"));
}

class ImportRun {
 public:
  ImportRun(const Context& context, const ImportOptions& options)
      : context_(context), options_(options), bar_(context.err, context.err_is_terminal) {}

  ExitCode run() {
    const Clock::time_point begin = Clock::now();
    const auto prepared = prepare();
    if (!prepared) return context_.report(prepared.error());
    wire::Status status;
    for (const std::string& file : options_.files) {
      const std::string name = file == "-" ? "standard input" : file;
      status = import_file(file, name);
      if (status) continue;
      if (status.error().code != wire::ErrorCode::kInvalid) break;
      // It cannot be read. One of several files does not keep the others out.
      if (options_.files.size() == 1 || options_.strict) {
        status = wire::fail(wire::ErrorCode::kInvalid, "{} {}", name, status.error().message);
        break;
      }
      on_problem({name, status.error().message});
      status = {};
    }
    bar_.clear();
    seconds_ = std::chrono::duration<double>(Clock::now() - begin).count();
    if (problem_count_ > kProblemsShown) {
      context_.note(fmt::format("... and {} more problems", problem_count_ - kProblemsShown));
    }
    // There is nothing to sum up of an import that ended before it did anything.
    if (status || has_results()) print_summary();
    if (!status) return failed(explained(context_, status.error()));
    return problem_count_ == 0 ? ExitCode::kOk : ExitCode::kGeneral;
  }

 private:
  wire::Status prepare() {
    ImporterOptions options;
    options.strict = options_.strict;
    BIB_TRY(options.holders, parse_holders(options_.holders));
    options.on_problem = [this](const ImportProblem& problem) { on_problem(problem); };
    options.stop = [this] { return interrupt_.requested(); };
    options.on_progress = [this](const ImportSummary& summary) {
      if (source_ != nullptr && bar_.is_due()) {
        bar_.show(progress_text(summary, source_->bytes_read(), bytes_all_));
      }
    };
    if (!options_.dry_run) {
      BIB_TRY(client_, context_.make_client(true, Importer::kInflight));
    }
    importer_ = std::make_unique<Importer>(client_.get(), std::move(options));
    return {};
  }

  // kInvalid: it cannot be read, in half a sentence that follows its name.
  wire::Status import_file(const std::string& file, const std::string& name) {
    if (file == "-") return import_stream(context_.in, name, 0);
    std::ifstream stream(file, std::ios::binary);
    std::error_code error;
    if (!stream || std::filesystem::is_directory(file, error)) {
      return wire::fail(wire::ErrorCode::kInvalid, "cannot be read: {}",
                        stream ? "it is a folder" : wire::errno_text(errno));
    }
    const std::uint64_t size = std::filesystem::file_size(file, error);
    return import_stream(stream, name, error ? 0 : size);
  }

  wire::Status import_stream(std::istream& stream, const std::string& name, std::uint64_t size) {
    BIB_TRY(const auto source, open_source(stream, {name, options_.topic, options_.format}));
    bytes_all_ = size;
    source_ = source.get();
    wire::Status status = importer_->import(*source);
    source_ = nullptr;
    return status;
  }

  void on_problem(const ImportProblem& problem) {
    if (problems_.size() < kProblemsShown) {
      problems_.push_back({{"place", problem.place}, {"message", problem.message}});
      bar_.clear();
      context_.note(printable(problem.place + ": " + problem.message));
    }
    ++problem_count_;
  }

  bool has_results() const {
    const ImportSummary& summary = importer_->summary();
    return summary.added + summary.unchanged + summary.refused + summary.bad +
               summary.topics_created >
           0;
  }

  void print_summary() {
    const ImportSummary& summary = importer_->summary();
    const Json data = {{"records", summary.records},
                       {"added", summary.added},
                       {"unchanged", summary.unchanged},
                       {"refused", summary.refused},
                       {"bad", summary.bad},
                       {"topics_created", summary.topics_created},
                       {"dry_run", options_.dry_run},
                       {"seconds", seconds_},
                       {"problems", problems_}};
    std::string text;
    if (options_.dry_run) {
      text = fmt::format("Dry run: nothing was sent. {}: {} good in {}, {} bad\n",
                         counted(summary.records, "record"), summary.added,
                         counted(summary.topics_created, "topic"), summary.bad);
    } else {
      text = fmt::format("{}: {} added, {} unchanged, {} refused, {} bad; {} created ({:.1f} s)\n",
                         counted(summary.records, "record"), summary.added, summary.unchanged,
                         summary.refused, summary.bad, counted(summary.topics_created, "topic"),
                         seconds_);
      const bool nothing = summary.added == 0 && summary.topics_created == 0 && problem_count_ == 0;
      if (nothing && summary.unchanged > 0) text += "Nothing has changed: all of it was there.\n";
    }
    context_.emit(data, text);
  }

  // A bad file is no bad command line, and a problem under --strict was reported where it stood.
  ExitCode failed(const wire::Error& error) {
    if (interrupt_.requested()) {
      return context_.report(
          ExitCode::kInterrupted, "interrupted",
          "What was sent before is in; importing it again changes nothing there");
    }
    if (problem_count_ > 0 && error.code == wire::ErrorCode::kRefused) {
      return context_.report(
          ExitCode::kGeneral, error.message,
          "What was sent before is in; importing it again changes nothing there");
    }
    if (error.code == wire::ErrorCode::kInvalid) {
      return context_.report(ExitCode::kGeneral, error.message);
    }
    ExitCode code = context_.report(error);
    context_.note("What was added before stays; import again to continue: nothing is added twice.");
    return code;
  }

  const Context& context_;
  const ImportOptions& options_;
  ProgressLine bar_;
  Interrupt interrupt_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Importer> importer_;
  const RecordSource* source_ = nullptr;
  std::uint64_t bytes_all_ = 0;
  Json problems_ = Json::array();
  std::uint64_t problem_count_ = 0;
  double seconds_ = 0;
};

}  // namespace

wire::Result<std::vector<wire::NodeId>> parse_holders(const std::vector<std::string>& texts) {
  std::vector<wire::NodeId> holders;
  for (const std::string& text : texts) {
    const auto id = wire::parse_node_id(text);
    if (!id || id->value() == 0) {
      return wire::fail(wire::ErrorCode::kInvalid,
                        "--holder: '{}' is not a node id (16 hex digits; `bib cluster status` "
                        "shows them)",
                        text);
    }
    holders.push_back(*id);
  }
  return holders;
}

void add_import_command(Commands& commands, CLI::App& catalog) {
  auto& options = commands.keep<ImportOptions>();
  Context& context = commands.context();
  CLI::App* command = catalog.add_subcommand(
      "import", "Import a Data Package or a Debian package index; importing again changes nothing");
  command->add_option("FILE", options.files, "Files, or - for standard input")->required();
  command->add_option("--format", options.format, "frictionless or deb822; default: detected")
      ->check(CLI::IsMember({"frictionless", "deb822"}));
  command->add_option("--topic", options.topic,
                      "frictionless: the topic; deb822: the topic above the sections");
  command->add_option("--holder", options.holders, "Id of a node that holds it; may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--dry-run", options.dry_run, "Read and check, but send nothing");
  command->add_flag("--strict", options.strict, "Stop at the first bad or refused record");
  commands.on(*command, [&] { return ImportRun(context, options).run(); });
}

}  // namespace bib::cli
