#include "cli/importers/importer.h"

#include <chrono>
#include <optional>

namespace bib::cli {
namespace {

using wire::ErrorCode;

// The next record fares no better when there is no cluster to send it to.
bool ends_import(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
    case ErrorCode::kNotFound:
    case ErrorCode::kRefused:
    case ErrorCode::kRevisionConflict:
      return false;
    default:
      return true;
  }
}

// Why a node could not even read this record, whatever the cluster holds. For a dry run: it asks
// nobody.
std::optional<std::string> node_would_refuse(const ImportRecord& record) {
  wire::ClientEncoder encoder;
  wire::Command command;
  command.client.bytes.fill(1);  // of no meaning here, but a command has a client and a number
  command.sequence = wire::RequestSequence(1);
  command.acknowledged_below = wire::RequestSequence(1);
  command.body = wire::AddDatasetVersion{record.version};
  const auto read = wire::decode_command(encoder.encode(command));
  if (read) return std::nullopt;
  return read.error().message;
}

}  // namespace

wire::Status Importer::import(RecordSource& source) {
  wire::Status status;
  while (status) {
    if (options_.stop && options_.stop()) {
      status = wire::fail(ErrorCode::kRefused, "stopped");
      break;
    }
    const auto item = source.next();
    if (!item) break;
    ++summary_.records;
    if (auto* problem = std::get_if<ImportProblem>(&*item)) {
      status = on_problem(std::move(*problem), summary_.bad);
    } else {
      status = on_record(std::get<ImportRecord>(*item));
    }
    if (options_.on_progress) options_.on_progress(summary_);
  }
  const wire::Status drained = drain();
  return status ? drained : status;
}

wire::Status Importer::on_problem(ImportProblem problem, std::uint64_t& counter) {
  ++counter;
  if (options_.on_problem) options_.on_problem(problem);
  if (options_.strict) {
    return wire::fail(ErrorCode::kRefused, "stopped at the first problem, as --strict says ({})",
                      problem.place);
  }
  return {};
}

wire::Status Importer::on_record(const ImportRecord& record) {
  if (client_ == nullptr) {
    if (auto wrong = node_would_refuse(record)) {
      return on_problem({record.place, *std::move(wrong)}, summary_.bad);
    }
    if (topics_.emplace(record.version.topic, "").second) ++summary_.topics_created;
    ++summary_.added;
    return {};
  }
  BIB_TRY(const std::string no_topic, create_topic(record));
  if (!no_topic.empty()) return on_problem({record.place, no_topic}, summary_.refused);
  while (!client_->can_submit()) BIB_TRY_VOID(collect());
  wire::AddDatasetVersion command{record.version};
  command.version.holders = options_.holders;
  places_.emplace(client_->submit(command), record.place);
  // A full window leaves in few large writes; its answers come back in as few.
  if (!client_->can_submit()) return collect();
  return {};
}

wire::Result<std::string> Importer::create_topic(const ImportRecord& record) {
  const auto known = topics_.find(record.version.topic);
  if (known != topics_.end()) return known->second;
  std::string topic(record.version.topic);
  BIB_TRY_VOID(drain());
  wire::CreateTopic command;
  command.path = topic;
  command.description = record.topic_description;
  command.parents = true;
  command.may_exist = true;
  const Completion completion = client_->call(command);
  std::string why_not;
  if (completion.reply) {
    const auto reply = wire::decode_command_reply(completion.reply->body.view());
    if (!reply) return tl::unexpected(reply.error());
    if (!reply->unchanged) ++summary_.topics_created;
  } else if (ends_import(completion.reply.error().code)) {
    return tl::unexpected(completion.reply.error());
  } else {
    why_not = completion.reply.error().message;
  }
  return topics_.emplace(std::move(topic), std::move(why_not)).first->second;
}

// Waits for at least one answer.
wire::Status Importer::collect() {
  completions_.clear();
  client_->poll(Clock::now() + std::chrono::seconds(1), completions_);
  wire::Status first;
  for (const Completion& completion : completions_) {
    wire::Status status = on_completion(completion);
    if (!status && first) first = std::move(status);
  }
  return first;
}

// Answers everything that is in flight, whatever goes wrong with some of it.
wire::Status Importer::drain() {
  wire::Status first;
  while (client_ != nullptr && client_->inflight() > 0) {
    wire::Status status = collect();
    if (!status && first) first = std::move(status);
    if (options_.on_progress) options_.on_progress(summary_);
  }
  return first;
}

wire::Status Importer::on_completion(const Completion& completion) {
  const auto place = places_.extract(completion.ticket);
  if (!completion.reply) {
    const wire::Error& error = completion.reply.error();
    if (ends_import(error.code)) return tl::unexpected(error);
    return on_problem({place ? place.mapped() : "", error.message}, summary_.refused);
  }
  const auto reply = wire::decode_command_reply(completion.reply->body.view());
  if (!reply) return wire::fail(ErrorCode::kUnsupported, "{}", reply.error().message);
  ++(reply->unchanged ? summary_.unchanged : summary_.added);
  return {};
}

}  // namespace bib::cli
