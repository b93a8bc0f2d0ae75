#include "engine/storage/patient_files.h"

#include "wire/base/mutant.h"

namespace bib::engine {

using wire::ErrorCode;
using wire::Result;
using wire::Status;

template <typename Try>
auto PatientFiles::patiently(Try attempt) -> decltype(attempt()) {
  for (unsigned failures = 1;; ++failures) {
    auto result = attempt();
    if (result || result.error().code != ErrorCode::kOverloaded) return result;
    if (BIB_MUTANT(kNoDescriptorEndsNode) || !wait_(failures)) {
      return wire::fail(ErrorCode::kIo, "{}", result.error().message);
    }
  }
}

Result<std::unique_ptr<File>> PatientFiles::open(const std::string& path, OpenOptions options) {
  return patiently([&] { return files_.open(path, options); });
}

Status PatientFiles::make_directories(const std::string& path) {
  return patiently([&] { return files_.make_directories(path); });
}

Result<std::vector<std::string>> PatientFiles::list(const std::string& directory) {
  return patiently([&] { return files_.list(directory); });
}

Status PatientFiles::sync_directory(const std::string& directory) {
  return patiently([&] { return files_.sync_directory(directory); });
}

Result<std::unique_ptr<DirectoryLock>> PatientFiles::lock(const std::string& directory) {
  return patiently([&] { return files_.lock(directory); });
}

}  // namespace bib::engine
