// FieldChecker: the limits on what a message from outside may say, field by field.
//
// For wire's decoders. Each check names its field; the first that fails becomes the message's
// error, a kInvalid that names the field, what is wrong and what is allowed. The sender
// reads it, and does not know the schema: there a field is named in words ("the topic's path").
// A reply is a node's mistake: its fields are named as in the schema, with the message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/base/result.h"
#include "wire/model/event.h"

namespace bib::wire {

class FieldChecker {
 public:
  // For a request: fields are named in words, which begin the sentence.
  FieldChecker() = default;
  // For a reply. `message` is its name in the schema and outlives the checker.
  explicit FieldChecker(const char* message) : message_(message) {}

  // UTF-8 without control characters, at most kNameSizeMax bytes; required: not empty.
  void required_name(const char* field, std::string_view name);
  void name(const char* field, std::string_view name);
  // At most kListSizeMax names; `element` names one of them.
  void names(const char* list, const char* element, const TextList& names);
  // UTF-8, at most kTextSizeMax or kValueSizeMax bytes.
  void text(const char* field, std::string_view text);
  void value(const char* field, std::string_view text);
  // A key, prefix or scope of a query: UTF-8, at most kQueryKeySizeMax bytes, U+0000 between names.
  void query_key(const char* field, std::string_view key);
  void list_size(const char* field, std::size_t size, std::size_t size_max);
  void at_most(const char* field, std::uint64_t number, std::uint64_t number_max);
  // "<field> <what is wrong>".
  void require(const char* field, bool ok, const char* what_is_wrong);

  // The first failure, or success.
  Status status() &&;

 private:
  void utf8_text(const char* field, std::string_view text, std::size_t size_max);
  std::string subject(const char* field) const;

  const char* message_ = nullptr;
  std::optional<Error> error_;
};

}  // namespace bib::wire
