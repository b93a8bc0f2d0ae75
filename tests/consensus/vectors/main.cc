// bib_vectors PLACE...: runs the test vectors in folders and files, see runner.h.
// Exit code: 0 all pass, 1 some do not, 2 wrong arguments or nothing to run.
#include <iostream>
#include <string_view>

#include "runner.h"

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]).starts_with("-")) argc = 0;
  }
  if (argc < 2) {
    std::cerr << "usage: bib_vectors FOLDER|FILE...\n"
                 "Runs test vectors of etcd's raft (quorum, confchange; datadriven format).\n";
    return 2;
  }
  for (int i = 1; i < argc; ++i) {
    const auto found = bib::vectors::vector_files(argv[i]);
    if (found.empty()) {
      std::cerr << "bib_vectors: there are no files with vectors in " << argv[i] << "\n";
      return 2;
    }
    files.insert(files.end(), found.begin(), found.end());
  }
  std::size_t cases = 0;
  const std::size_t failed = bib::vectors::run_files(files, std::cout, cases);
  std::cout << files.size() << " files, " << cases << " cases, " << failed << " files failed\n";
  if (cases == 0) {
    std::cerr << "bib_vectors: there is no case in any of them\n";
    return 2;
  }
  return failed == 0 ? 0 : 1;
}
