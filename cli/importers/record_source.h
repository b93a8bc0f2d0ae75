// RecordSource: a catalogue in someone else's format, as one dataset version after another.
//
// Owned by the import; one thread. Memory is bounded by one record, whatever the input's size. A
// bad record is an ordinary value with its place; the source continues after it.
#pragma once

#include <cstdint>
#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "wire/base/result.h"
#include "wire/model/event.h"

namespace bib::cli {

// Views into the source, valid until its next call.
struct ImportRecord {
  std::string place;  // "packages.txt:120" or "datapackage.json: resource 3 (airports)"
  std::string_view topic_description;
  wire::DatasetVersionAdded version;
};

struct ImportProblem {
  std::string place;
  std::string message;
};

class RecordSource {
 public:
  virtual ~RecordSource() = default;

  using Item = std::variant<ImportRecord, ImportProblem>;
  // nullopt: the end.
  virtual std::optional<Item> next() = 0;
  // Counts of the input so far.
  virtual std::uint64_t bytes_read() const = 0;
};

struct SourceOptions {
  std::string name;    // of the input, for places: a path, or "standard input"
  std::string topic;   // --topic
  std::string format;  // "frictionless", "deb822", or empty: look at the content
};

// Detects the format where it is not given. kInvalid says what the input looks like instead, in
// half a sentence that follows its name.
wire::Result<std::unique_ptr<RecordSource>> open_source(std::istream& in, SourceOptions options);

}  // namespace bib::cli
