// Runs test vectors of etcd's raft for quorum arithmetic and membership changes against consensus:
// the commands committed, vote, simple, enter-joint and leave-joint.
//
// Outcomes must agree; the wording of errors need not. Files are anybody's: what cannot be
// understood is a failure with its line, never a crash.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bib::vectors {

struct Failure {
  int line = 0;
  std::string what;
};

struct FileReport {
  std::size_t cases = 0;
  std::vector<Failure> failures;
};

// Memberships begin empty and last through the file.
FileReport run_text(std::string_view text);

// The files below a folder that can hold vectors (*.txt, or no extension; not NOTICE, LICENSE or
// README), sorted; or the file itself. Empty when there is nothing there.
std::vector<std::filesystem::path> vector_files(const std::filesystem::path& place);

// Prints a line for each file, and one for each failure ("file:line: what"); returns how many files
// did not pass. `cases` grows by how many cases were run.
std::size_t run_files(const std::vector<std::filesystem::path>& files, std::ostream& out,
                      std::size_t& cases);

}  // namespace bib::vectors
