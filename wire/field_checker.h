// FieldChecker: the limits on what a message from outside may say, field by field.
//
// For wire's decoders. Each check names its field; the first that fails becomes the message's
// error, a kInvalid that names the message, the field, what is wrong and what is allowed.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "wire/event.h"
#include "wire/result.h"

namespace bib::wire {

class FieldChecker {
 public:
  // `message` is the message's name in the schema and outlives the checker.
  explicit FieldChecker(const char* message) : message_(message) {}

  // UTF-8 without control characters, at most kNameSizeMax bytes; required: not empty.
  void required_name(const char* field, std::string_view name);
  void name(const char* field, std::string_view name);
  // At most kListSizeMax names.
  void names(const char* field, const TextList& names);
  // UTF-8, at most kTextSizeMax or kValueSizeMax bytes.
  void text(const char* field, std::string_view text);
  void value(const char* field, std::string_view text);
  // A key, prefix or scope of a query: UTF-8, at most kQueryKeySizeMax bytes, U+0000 between names.
  void query_key(const char* field, std::string_view key);
  void list_size(const char* field, std::size_t size, std::size_t size_max);
  void at_most(const char* field, std::uint64_t number, std::uint64_t number_max);
  // "<message>.<field> <what is wrong>".
  void require(const char* field, bool ok, const char* what_is_wrong);

  // The first failure, or success.
  Status status() &&;

 private:
  void utf8_text(const char* field, std::string_view text, std::size_t size_max);

  const char* message_;
  std::optional<Error> error_;
};

}  // namespace bib::wire
