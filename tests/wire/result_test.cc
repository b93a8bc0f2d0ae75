#include "wire/base/result.h"

#include <catch2/catch.hpp>

#include <cerrno>
#include <memory>
#include <set>

namespace bib::wire {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return fail(ErrorCode::kInvalid, "{} is odd", number);
  return number / 2;
}

Result<int> quarter(int number) {
  BIB_TRY(const int once, half(number));
  BIB_TRY(const int twice, half(once));
  return twice;
}

Status check_even(int number) {
  BIB_TRY_VOID(half(number));
  return {};
}

Result<std::unique_ptr<int>> boxed(int number) {
  BIB_TRY(auto box, Result<std::unique_ptr<int>>(std::make_unique<int>(number)));
  return box;
}

}  // namespace

TEST_CASE("BIB_TRY gives the value or returns the first error") {
  CHECK(quarter(12) == 3);
  CHECK(quarter(3).error().message == "3 is odd");
  CHECK(quarter(6).error().message == "3 is odd");
  CHECK(quarter(6).error().code == ErrorCode::kInvalid);
  CHECK(check_even(2));
  CHECK_FALSE(check_even(1));
  CHECK(**boxed(5) == 5);
}

TEST_CASE("every error code has a name of its own, and other numbers are unknown") {
  std::set<std::string_view> names;
  for (int code = 0; code <= 17; ++code) {
    names.insert(error_code_name(static_cast<ErrorCode>(code)));
  }
  CHECK(names.size() == 18);
  CHECK_FALSE(names.contains("unknown"));
  CHECK(error_code_name(static_cast<ErrorCode>(18)) == "unknown");
  CHECK(error_code_name(static_cast<ErrorCode>(255)) == "unknown");
}

TEST_CASE("an error number is told in words and by its name") {
  CHECK(errno_text(ENOSPC) == "No space left on device (ENOSPC)");
  CHECK(errno_text(123456) == "unknown error 123456");
}

}  // namespace bib::wire
