#include "wire/client/field_checker.h"

#include <utility>

#include "wire/base/text.h"
#include "wire/client/client_message.h"

namespace bib::wire {

std::string FieldChecker::subject(const char* field) const {
  return message_ == nullptr ? field : fmt::format("{}.{}", message_, field);
}

void FieldChecker::require(const char* field, bool ok, const char* what_is_wrong) {
  if (ok || error_) return;
  error_ = Error{ErrorCode::kInvalid, fmt::format("{} {}", subject(field), what_is_wrong)};
}

void FieldChecker::at_most(const char* field, std::uint64_t number, std::uint64_t number_max) {
  if (number <= number_max || error_) return;
  error_ = Error{ErrorCode::kInvalid, fmt::format("{} is {}; the largest allowed is {}",
                                                  subject(field), number, number_max)};
}

void FieldChecker::list_size(const char* field, std::size_t size, std::size_t size_max) {
  if (size <= size_max || error_) return;
  error_ =
      Error{ErrorCode::kInvalid, fmt::format("{} has more than the {} elements allowed; send fewer",
                                             subject(field), size_max)};
}

void FieldChecker::utf8_text(const char* field, std::string_view text, std::size_t size_max) {
  if (error_) return;
  if (text.size() > size_max) {
    error_ = Error{ErrorCode::kInvalid,
                   fmt::format("{} has {} bytes and may have at most {}; shorten it",
                               subject(field), text.size(), size_max)};
    return;
  }
  require(field, is_valid_utf8(text), "is not valid UTF-8; send text in that encoding");
}

void FieldChecker::name(const char* field, std::string_view name) {
  utf8_text(field, name, kNameSizeMax);
  require(field, !has_control_characters(name),
          "has a control character (such as a line break); leave it out");
}

void FieldChecker::required_name(const char* field, std::string_view text) {
  require(field, !text.empty(), "is empty; it must be given");
  name(field, text);
}

void FieldChecker::names(const char* list, const char* element, const TextList& names) {
  list_size(list, names.size(), kListSizeMax);
  if (error_) return;
  for (std::string_view text : names) name(element, text);
}

void FieldChecker::text(const char* field, std::string_view text) {
  utf8_text(field, text, kTextSizeMax);
}

void FieldChecker::value(const char* field, std::string_view text) {
  utf8_text(field, text, kValueSizeMax);
}

void FieldChecker::query_key(const char* field, std::string_view key) {
  utf8_text(field, key, kQueryKeySizeMax);
}

Status FieldChecker::status() && {
  if (error_) return tl::unexpected(*std::move(error_));
  return {};
}

}  // namespace bib::wire
