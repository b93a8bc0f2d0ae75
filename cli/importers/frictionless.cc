#include "cli/importers/frictionless.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/importers/content_hash.h"
#include "wire/base/secret.h"

namespace bib::cli {
namespace {

using nlohmann::json;  // its keys are sorted: the canonical form that versions are derived from

constexpr std::size_t kDescriptorSizeMax = 64U << 20;
constexpr std::size_t kShortHashDigits = 12;

// Texts that a record points to.
class Texts {
 public:
  void clear() { texts_.clear(); }
  std::string_view keep(std::string text) {
    texts_.push_back(std::make_unique<std::string>(std::move(text)));
    return *texts_.back();
  }

 private:
  std::vector<std::unique_ptr<std::string>> texts_;
};

std::string text_in(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  return found->is_number() ? found->dump() : std::string();
}

// The resource's own, or what the package says for all.
const json* inherited(const json& resource, const json& package, const char* name) {
  for (const json* object : {&resource, &package}) {
    const auto found = object->find(name);
    if (found != object->end() && found->is_array() && !found->empty()) return &*found;
  }
  return nullptr;
}

// The first of these names that an object, or a plain text, has.
std::string title_of(const json& item, std::initializer_list<const char*> names) {
  if (item.is_string()) return item.get<std::string>();
  if (!item.is_object()) return {};
  for (const char* name : names) {
    std::string text = text_in(item, name);
    if (!text.empty()) return text;
  }
  return {};
}

// Runs of white space, line breaks among them, are one space: what is shown on one line. A title
// that was written over several lines is still a title.
std::string on_one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const bool blank = c == ' ' || (c >= '\t' && c <= '\r');
    if (!blank) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  if (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

std::string short_hash(std::string_view text) {
  const auto hash = wire::sha256(wire::as_bytes(text));
  return wire::to_hex(hash.data(), hash.size()).substr(0, kShortHashDigits);
}

class FrictionlessSource final : public RecordSource {
 public:
  FrictionlessSource(std::unique_ptr<LineReader> lines, SourceOptions options)
      : lines_(std::move(lines)), options_(std::move(options)) {}

  std::optional<Item> next() override {
    texts_.clear();
    if (!opened_) {
      opened_ = true;
      if (const auto problem = open()) {
        count_ = 0;
        return *problem;
      }
    }
    if (next_ >= count_) return std::nullopt;
    const json& resource = package_["resources"][next_++];
    return to_item(resource);
  }

  std::uint64_t bytes_read() const override { return lines_->bytes_read(); }

 private:
  std::optional<ImportProblem> open() {
    const std::string text = lines_->read_all(kDescriptorSizeMax + 1);
    if (text.size() > kDescriptorSizeMax) {
      return ImportProblem{options_.name, "a descriptor of more than 64 MiB"};
    }
    try {
      package_ = json::parse(text);
    } catch (const json::parse_error& error) {
      return ImportProblem{place_of_byte(text, error.byte), "not JSON: " + reason(error)};
    }
    if (!package_.is_object()) return ImportProblem{options_.name, "not a JSON object"};
    const auto resources = package_.find("resources");
    if (resources == package_.end() || !resources->is_array()) {
      return ImportProblem{options_.name,
                           "no list 'resources': this is not a Data Package's descriptor"};
    }
    topic_ = options_.topic.empty() ? text_in(package_, "name") : options_.topic;
    if (topic_.empty()) {
      return ImportProblem{options_.name, "the package has no name; give the topic with --topic"};
    }
    topic_description_ = text_in(package_, "description");
    if (topic_description_.empty()) topic_description_ = text_in(package_, "title");
    count_ = resources->size();
    return std::nullopt;
  }

  // The library's text repeats the position in its own way.
  static std::string reason(const json::parse_error& error) {
    const std::string text = error.what();
    const std::size_t colon = text.find(": ");
    return colon == std::string::npos ? text : text.substr(colon + 2);
  }

  std::string place_of_byte(const std::string& text, std::size_t byte) const {
    const std::string_view before = std::string_view(text).substr(0, byte == 0 ? 0 : byte - 1);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const std::size_t column = before.size() - (before.rfind('\n') + 1) + 1;
    return fmt::format("{}:{}:{}", options_.name, line, column);
  }

  Item to_item(const json& resource) {
    const std::string place = fmt::format("{}: resource {}", options_.name, next_);
    if (!resource.is_object()) return ImportProblem{place, "not a JSON object"};
    const std::string name = text_in(resource, "name");
    if (name.empty()) return ImportProblem{place, "the resource has no name"};
    ImportRecord record;
    record.place = fmt::format("{} ({})", place, name);
    record.topic_description = topic_description_;
    wire::DatasetVersionAdded& version = record.version;
    version.topic = topic_;
    version.dataset = texts_.keep(name);
    const auto bytes = resource.find("bytes");
    if (bytes != resource.end() && !bytes->is_null()) {
      if (!bytes->is_number_unsigned()) {
        return ImportProblem{record.place, "'bytes' is not a whole number"};
      }
      version.size = bytes->get<std::uint64_t>();
    }
    auto hash = checked_hash(text_in(resource, "hash"));
    if (!hash) return ImportProblem{record.place, hash.error().message};
    set_identity(version, resource, std::move(*hash));
    set_texts(version, resource);
    set_lists(version, resource);
    return record;
  }

  void set_identity(wire::DatasetVersionAdded& version, const json& resource, std::string hash) {
    std::string name = text_in(resource, "version");
    if (name.empty()) name = text_in(package_, "version");
    if (name.empty() && !hash.empty()) {
      const std::size_t colon = hash.find(':');
      name = hash.substr(0, colon) + '-' + hash.substr(colon + 1, kShortHashDigits);
    }
    if (name.empty()) {
      name =
          "descriptor-" + short_hash(resource.dump(-1, ' ', false, json::error_handler_t::replace));
    }
    version.version = texts_.keep(std::move(name));
    version.hash = texts_.keep(std::move(hash));
  }

  void set_texts(wire::DatasetVersionAdded& version, const json& resource) {
    std::string format = text_in(resource, "format");
    if (!format.empty() && format.front() == '.') format.erase(0, 1);
    version.format = texts_.keep(std::move(format));
    std::string description = text_in(resource, "description");
    if (description.empty()) description = text_in(resource, "title");
    version.description = texts_.keep(std::move(description));
    std::string homepage = text_in(resource, "homepage");
    if (homepage.empty()) homepage = text_in(package_, "homepage");
    version.homepage = texts_.keep(std::move(homepage));
    std::string source = text_in(resource, "path");
    const auto path = resource.find("path");
    if (path != resource.end() && path->is_array() && !path->empty()) {
      source = title_of(path->front(), {});
    }
    if (source.empty()) source = text_in(resource, "url");
    version.source = texts_.keep(std::move(source));
  }

  void set_lists(wire::DatasetVersionAdded& version, const json& resource) {
    std::vector<std::string> licences;
    if (const json* list = inherited(resource, package_, "licenses")) {
      for (const json& item : *list) {
        licences.push_back(on_one_line(title_of(item, {"name", "title", "path"})));
      }
    }
    version.licence = texts_.keep(fmt::format("{}", fmt::join(licences, ", ")));
    for (const char* name : {"contributors", "sources"}) {
      if (const json* list = inherited(resource, package_, name)) {
        for (const json& item : *list) {
          add_once(version.owners, on_one_line(title_of(item, {"title", "name", "path"})));
        }
      }
    }
    for (const json* object : {&resource, &static_cast<const json&>(package_)}) {
      const auto keywords = object->find("keywords");
      if (keywords == object->end() || !keywords->is_array()) continue;
      for (const json& keyword : *keywords) {
        add_once(version.tags, on_one_line(title_of(keyword, {})));
      }
    }
  }

  void add_once(wire::TextList& list, std::string text) {
    if (text.empty() || std::find(list.begin(), list.end(), text) != list.end()) return;
    list.push_back(texts_.keep(std::move(text)));
  }

  std::unique_ptr<LineReader> lines_;
  SourceOptions options_;
  bool opened_ = false;
  json package_;
  std::string topic_;
  std::string topic_description_;
  std::size_t next_ = 0;
  std::size_t count_ = 0;
  Texts texts_;
};

}  // namespace

std::unique_ptr<RecordSource> make_frictionless_source(std::unique_ptr<LineReader> lines,
                                                       SourceOptions options) {
  return std::make_unique<FrictionlessSource>(std::move(lines), std::move(options));
}

}  // namespace bib::cli
