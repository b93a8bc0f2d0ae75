#include "harm.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <vector>

#include "scenes.h"
#include "support/test_support.h"

namespace bib::damage {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kBlock = 4096;

// Kinds of files, so that each is met as often as any other: "log/.seg", "state/MANIFEST".
std::string kind_of_file(const fs::path& path, const fs::path& root) {
  const std::string name = path.filename().string();
  const std::string folder = fs::relative(path, root).begin()->string();
  const std::string extension = path.extension().string();
  if (!extension.empty() && extension != ".start") return folder + "/" + extension;
  return folder + "/" + name.substr(0, name.find('-'));
}

// The bytes of a file; its other names see the same.
void edit(const fs::path& file, const std::function<void(std::string&)>& change) {
  std::string bytes = support::read_file(file);
  change(bytes);
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void make_socket(const fs::path& path) {
  // The name may be longer than an address may be: it is given from within its directory.
  const fs::path before = fs::current_path();
  fs::current_path(path.parent_path());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = path.filename().string();
  std::memcpy(address.sun_path, name.data(), std::min(name.size(), sizeof(address.sun_path) - 1));
  const int number = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (number >= 0) {
    (void)::bind(number, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    ::close(number);
  }
  fs::current_path(before);
}

class Harming {
 public:
  Harming(const HarmSources& sources, wire::Prng& random) : sources_(sources), random_(random) {}

  Harm run() {
    for (int tries = 0; tries < 100; ++tries) {
      harm_ = {};
      const bool done = random_.below(4) == 0 ? to_some_directory() : to_some_file();
      if (done) return harm_;
    }
    return {"nothing", "", false};
  }

 private:
  fs::path root() const { return sources_.directory; }

  bool to_some_file() {
    std::map<std::string, std::vector<fs::path>> kinds;
    for (const auto& each : fs::recursive_directory_iterator(root())) {
      if (each.is_regular_file()) kinds[kind_of_file(each.path(), root())].push_back(each.path());
    }
    if (kinds.empty()) return false;
    const auto kind = std::next(kinds.begin(), static_cast<long>(random_.below(kinds.size())));
    std::sort(kind->second.begin(), kind->second.end());
    const fs::path file = kind->second[random_.below(kind->second.size())];
    harm_.path = fs::relative(file, root()).string();
    const std::string name = file.filename().string();
    harm_.is_lock = name == "LOCK" || name == "LOG" || name.starts_with("LOG.old") ||
                    name == "IDENTITY" || name.starts_with("OPTIONS");
    return random_.below(2) == 0 ? to_content(file) : to_name(file, kinds);
  }

  // ---- what is in the file
  bool to_content(const fs::path& file) {
    const std::uint64_t size = fs::file_size(file);
    switch (random_.below(size == 0 ? 1 : 7)) {
      case 0:
        return done("has bytes after its end", [&] {
          edit(file, [&](std::string& bytes) {
            for (std::uint64_t n = 1 + random_.below(5000); n > 0; --n) bytes += random_byte();
          });
        });
      case 1:
        return done("is empty", [&] { edit(file, [](std::string& bytes) { bytes.clear(); }); });
      case 2: {
        const std::uint64_t left = random_.below(size);
        return done(fmt::format("is cut to {} of {} bytes", left, size),
                    [&] { edit(file, [&](std::string& bytes) { bytes.resize(left); }); });
      }
      case 3: {
        const std::uint64_t at = random_.below(size) / kBlock * kBlock;
        return done(fmt::format("a block at {} is zero", at), [&] {
          edit(file, [&](std::string& bytes) {
            const std::uint64_t end = std::min<std::uint64_t>(at + kBlock, size);
            std::fill(bytes.begin() + static_cast<long>(at), bytes.begin() + static_cast<long>(end),
                      '\0');
          });
        });
      }
      case 4:
        return done("all its bytes are random", [&] {
          edit(file, [&](std::string& bytes) {
            for (char& byte : bytes) byte = random_byte();
          });
        });
      default: {
        const std::uint64_t at = random_.below(size);
        return done(fmt::format("a bit of byte {} of {} is flipped", at, size), [&] {
          edit(file, [&](std::string& bytes) {
            bytes[at] = static_cast<char>(bytes[at] ^ (1 << random_.below(8)));
          });
        });
      }
    }
  }

  // ---- what has the file's name
  bool to_name(const fs::path& file, const std::map<std::string, std::vector<fs::path>>& kinds) {
    switch (random_.below(10)) {
      case 0:
        return done("is gone", [&] { fs::remove(file); });
      case 1: {
        const auto& like = kinds.at(kind_of_file(file, root()));
        const fs::path other = like[random_.below(like.size())];
        if (other == file) return false;
        return done("has changed places with " + fs::relative(other, root()).string(), [&] {
          const fs::path aside = file.string() + ".x";
          fs::rename(file, aside);
          fs::rename(other, file);
          fs::rename(aside, other);
        });
      }
      case 2:
        return take("is an older one", sources_.older, file);
      case 3:
        return take("is another node's", sources_.other, file);
      case 4:
        return done("is a directory", [&] {
          fs::remove(file);
          fs::create_directory(file);
        });
      case 5:
        return done("is a link to a device", [&] {
          fs::remove(file);
          fs::create_symlink("/dev/zero", file);
        });
      case 6:
        return moved_and_linked(file);
      case 7:
        return done("is a socket", [&] {
          fs::remove(file);
          make_socket(file);
        });
      case 8:
        return done("may not be read", [&] { fs::permissions(file, fs::perms::none); });
      default:
        return is_pipe(file);
    }
  }

  bool take(const std::string& kind, const std::string& from, const fs::path& path) {
    const fs::path source = fs::path(from) / fs::relative(path, root());
    if (from.empty() || !fs::exists(source)) return false;
    return done(kind, [&] {
      fs::remove_all(path);
      if (fs::is_directory(source)) return copy_tree(source, path);
      fs::copy_file(source, path);
    });
  }

  bool is_pipe(const fs::path& path) {
    return done("is a pipe", [&] {
      fs::remove_all(path);
      (void)::mkfifo(path.c_str(), 0600);
    });
  }

  bool moved_and_linked(const fs::path& path) {
    return done("was moved, and a link is there", [&] {
      fs::create_directories(sources_.elsewhere);
      const fs::path target = fs::path(sources_.elsewhere) / path.filename();
      fs::rename(path, target);
      fs::create_symlink(target, path);
    });
  }

  // ---- directories
  bool to_some_directory() {
    std::vector<fs::path> all{root()};
    for (const auto& each : fs::recursive_directory_iterator(root())) {
      if (each.is_directory()) all.push_back(each.path());
    }
    std::sort(all.begin(), all.end());
    const fs::path directory = all[random_.below(all.size())];
    harm_.path = fs::relative(directory, root()).string();
    switch (random_.below(8)) {
      case 0:
        return done("is gone", [&] { fs::remove_all(directory); });
      case 1:
        return done("is empty", [&] {
          fs::remove_all(directory);
          fs::create_directory(directory);
        });
      case 2:
        return take("is an older one", sources_.older, directory);
      case 3:
        return take("is another node's", sources_.other, directory);
      case 4:
        return done("may not be read", [&] { fs::permissions(directory, fs::perms::none); });
      case 5:
        return directory != root() && moved_and_linked(directory);
      case 6:
        return directory != root() && done("is a file", [&] {
                 fs::remove_all(directory);
                 support::write_file(directory, "file\n");
               });
      default:
        return directory != root() && is_pipe(directory);
    }
  }

  char random_byte() { return static_cast<char>(random_.next()); }

  bool done(const std::string& kind, const std::function<void()>& what) {
    harm_.kind = kind;
    what();
    return true;
  }

  const HarmSources& sources_;
  wire::Prng& random_;
  Harm harm_;
};

}  // namespace

Harm do_harm(const HarmSources& sources, wire::Prng& random) {
  return Harming(sources, random).run();
}

void remove_all(const std::string& directory) {
  if (!fs::exists(fs::symlink_status(directory))) return;
  std::vector<fs::path> left{directory};
  while (!left.empty()) {
    const fs::path path = left.back();
    left.pop_back();
    if (fs::symlink_status(path).type() != fs::file_type::directory) continue;
    fs::permissions(path, fs::perms::owner_all);
    for (const auto& each : fs::directory_iterator(path)) left.push_back(each.path());
  }
  fs::remove_all(directory);
}

}  // namespace bib::damage
