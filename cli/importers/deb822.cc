#include "cli/importers/deb822.h"

#include <algorithm>
#include <vector>

#include "wire/base/units.h"

namespace bib::cli {
namespace {

constexpr std::size_t kStanzaSizeMax = 1U << 20;
constexpr std::string_view kNoSection = "unknown";

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Field names do not depend on case (deb822(5)).
bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\r";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdefABCDEF") == text.npos;
}

// One stanza's text and where its fields stand in it; a folded field's lines keep their ends.
class Stanza {
 public:
  void clear() {
    text_.clear();
    fields_.clear();
    line_ = 0;
    problem_.clear();
  }
  bool empty() const { return line_ == 0; }
  std::uint64_t line() const { return line_; }
  std::uint64_t problem_line() const { return problem_line_; }
  const std::string& problem() const { return problem_; }

  void add(const LineReader::Line& line) {
    if (line_ == 0) line_ = line.number;
    if (!problem_.empty()) return;
    if (line.cut || text_.size() + line.text.size() > kStanzaSizeMax) {
      return fail(line, "the record is larger than 1 MiB");
    }
    if (line.text.front() == ' ' || line.text.front() == '\t') return fold(line);
    const std::size_t colon = line.text.find(':');
    if (colon == std::string_view::npos || colon == 0) {
      return fail(line, "not a line of the form 'Field: value'");
    }
    const std::string_view name = line.text.substr(0, colon);
    if (find(name) != nullptr) return fail(line, fmt::format("the field {} is given twice", name));
    Field field;
    field.name_begin = text_.size();
    field.name_size = name.size();
    text_ += line.text;
    field.value_begin = field.name_begin + colon + 1;
    field.value_end = text_.size();
    text_ += '\n';
    fields_.push_back(field);
  }

  // Empty when there is no such field.
  std::string_view value(std::string_view name) const {
    const Field* field = find(name);
    if (field == nullptr) return {};
    return trimmed(
        std::string_view(text_).substr(field->value_begin, field->value_end - field->value_begin));
  }

 private:
  struct Field {
    std::size_t name_begin = 0;
    std::size_t name_size = 0;
    std::size_t value_begin = 0;
    std::size_t value_end = 0;
  };

  const Field* find(std::string_view name) const {
    for (const Field& field : fields_) {
      if (same_name(std::string_view(text_).substr(field.name_begin, field.name_size), name)) {
        return &field;
      }
    }
    return nullptr;
  }

  void fold(const LineReader::Line& line) {
    if (fields_.empty()) return fail(line, "a continued line, but no field before it");
    text_ += line.text;
    fields_.back().value_end = text_.size();
    text_ += '\n';
  }

  void fail(const LineReader::Line& line, std::string message) {
    problem_ = std::move(message);
    problem_line_ = line.number;
  }

  std::string text_;
  std::vector<Field> fields_;
  std::uint64_t line_ = 0;  // of the first; 0: nothing yet
  std::string problem_;
  std::uint64_t problem_line_ = 0;
};

class Deb822Source final : public RecordSource {
 public:
  Deb822Source(std::unique_ptr<LineReader> lines, SourceOptions options)
      : lines_(std::move(lines)), options_(std::move(options)) {}

  std::optional<Item> next() override {
    if (!read_stanza()) return std::nullopt;
    if (!stanza_.problem().empty()) {
      return ImportProblem{place(stanza_.problem_line()), stanza_.problem()};
    }
    return to_item();
  }

  std::uint64_t bytes_read() const override { return lines_->bytes_read(); }

 private:
  std::string place(std::uint64_t line) const { return fmt::format("{}:{}", options_.name, line); }

  // Blank lines stand between stanzas; lines that begin with '#' are comments.
  bool read_stanza() {
    stanza_.clear();
    LineReader::Line line;
    while (lines_->next(line)) {
      const bool blank = line.text.find_first_not_of(" \t") == std::string_view::npos;
      if (blank && stanza_.empty()) continue;
      if (blank) return true;
      if (line.text.front() != '#') stanza_.add(line);
    }
    return !stanza_.empty();
  }

  Item bad(std::string message) const { return ImportProblem{place(stanza_.line()), message}; }

  Item to_item() {
    ImportRecord record;
    wire::DatasetVersionAdded& version = record.version;
    version.dataset = stanza_.value("Package");
    version.version = stanza_.value("Version");
    if (version.dataset.empty()) return bad("the field Package is missing");
    if (version.version.empty()) {
      return bad(fmt::format("the field Version of {} is missing", version.dataset));
    }
    const std::string_view sha256 = stanza_.value("SHA256");
    if (!sha256.empty() && !is_sha256(sha256)) {
      return bad(fmt::format("the field SHA256 of {} is not 64 hex digits", version.dataset));
    }
    const std::string_view size = stanza_.value("Size");
    if (!size.empty()) {
      const auto bytes = wire::parse_count(size);
      if (!bytes) {
        return bad(fmt::format("the field Size of {}: {}", version.dataset, bytes.error().message));
      }
      version.size = *bytes;
    }
    set_texts(version, sha256);
    record.place = place(stanza_.line());
    return record;
  }

  void set_texts(wire::DatasetVersionAdded& version, std::string_view sha256) {
    std::string_view section = stanza_.value("Section");
    if (section.empty()) section = kNoSection;
    topic_ = options_.topic.empty() ? std::string(section)
                                    : fmt::format("{}/{}", options_.topic, section);
    version.topic = topic_;
    hash_.clear();
    if (!sha256.empty()) {
      hash_ = "sha256:";
      std::transform(sha256.begin(), sha256.end(), std::back_inserter(hash_), lower);
    }
    version.hash = hash_;
    version.format = "deb";
    const std::string_view description = stanza_.value("Description");
    version.description = trimmed(description.substr(0, description.find('\n')));
    version.homepage = stanza_.value("Homepage");
    version.source = stanza_.value("Filename");
    const std::string_view maintainer = stanza_.value("Maintainer");
    if (!maintainer.empty()) version.owners.push_back(maintainer);
    std::string_view tags = stanza_.value("Tag");
    while (!tags.empty()) {
      const std::size_t comma = std::min(tags.find(','), tags.size());
      const std::string_view tag = trimmed(tags.substr(0, comma));
      if (!tag.empty()) version.tags.push_back(tag);
      tags.remove_prefix(std::min(comma + 1, tags.size()));
    }
  }

  std::unique_ptr<LineReader> lines_;
  SourceOptions options_;
  Stanza stanza_;
  std::string topic_;
  std::string hash_;
};

}  // namespace

std::unique_ptr<RecordSource> make_deb822_source(std::unique_ptr<LineReader> lines,
                                                 SourceOptions options) {
  return std::make_unique<Deb822Source>(std::move(lines), std::move(options));
}

}  // namespace bib::cli
