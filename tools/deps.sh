#!/usr/bin/env bash
# Installs the Debian 12 packages that bib is built and tested with. This is the one list of them.
#
# usage: tools/deps.sh [--bench] [--fuzz] [--tidy] [--coverage] [--list]
#
#   --bench      also what the comparison benchmarks run against (etcd, spoken to over gRPC)
#   --fuzz       also clang and its sanitizer runtime (preset fuzz)
#   --tidy       also clang-tidy (tools/check.sh tidy)
#   --coverage   also gcovr (tools/check.sh coverage)
#   --list       print the packages of the chosen groups, one a line, and install nothing
#
# Installs what is missing and nothing else; says nothing and touches no network when all is there.
# Exit code: 0 all is there, 1 something is missing and could not be installed, 2 wrong usage.
set -euo pipefail

build=(
  g++ cmake ninja-build   # compiler, generator, build tool
  ccache                  # a second build costs seconds
  pkg-config git          # finding libraries; tools/check.sh asks git which files are ours
  clang-format-14         # format check; the version is part of the format
  flatbuffers-compiler    # flatc: wire/schema
)
libraries=(
  libuv1-dev              # loops, sockets, files
  librocksdb-dev          # state, checkpoints
  libflatbuffers-dev      # encoding, reflection
  libyaml-cpp-dev         # configuration
  libxxhash-dev           # checksums
  liblz4-dev              # compression
  libssl-dev              # TLS, certificates, secrets
  libcli11-dev            # arguments
  nlohmann-json3-dev      # JSON in and out
  libfmt-dev              # text
  libexpected-dev         # Result
  libjemalloc-dev         # bibd's allocator
)
test=(
  catch2                  # unit tests
  openssl                 # certificates made by tests/cluster
  procps                  # tests/cluster looks at the processes it started
  universal-ctags         # tools/sizes.sh: where functions end
  iproute2                # networks for the nodes of bib_nemesis (a proxy without it)
)
bench=(
  etcd-server                             # what we compare with
  libgrpc++-dev protobuf-compiler-grpc    # its client protocol ...
  libprotobuf-dev protobuf-compiler       # ... and its messages
)
fuzz=(
  clang-14                # libFuzzer
  libclang-rt-14-dev      # the sanitizers' runtime
)
tidy=(clang-tidy-14)
coverage=(gcovr)

usage() {
  sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0"
}

wanted=("${build[@]}" "${libraries[@]}" "${test[@]}")
list_only=false
for argument in "$@"; do
  case $argument in
    --bench) wanted+=("${bench[@]}") ;;
    --fuzz) wanted+=("${fuzz[@]}") ;;
    --tidy) wanted+=("${tidy[@]}") ;;
    --coverage) wanted+=("${coverage[@]}") ;;
    --list) list_only=true ;;
    -h | --help) usage; exit 0 ;;
    *) echo "tools/deps.sh: unknown argument: $argument" >&2; usage >&2; exit 2 ;;
  esac
done

if $list_only; then
  printf '%s\n' "${wanted[@]}"
  exit 0
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "tools/deps.sh: this system has no apt; install what these Debian 12 packages hold:" >&2
  printf '  %s\n' "${wanted[@]}" >&2
  exit 1
fi

installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
  grep -qxF "$package installed" <<<"$installed" || missing+=("$package")
done
if [[ ${#missing[@]} -eq 0 ]]; then
  exit 0
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    {
      echo "tools/deps.sh: packages are missing, and only root can install them. As root, run:"
      echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    } >&2
    exit 1
  fi
fi

apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# True when the package lists name a version of every missing package.
lists_are_there() {
  local package
  for package in "${missing[@]}"; do
    apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [^(]' || return 1
  done
}

install() {
  apt install --no-install-recommends "${missing[@]}" >/dev/null
}

echo "tools/deps.sh: installing ${missing[*]}"
if lists_are_there; then
  # The lists may be too old for the mirror; then they are fetched and the install tried again.
  install || { apt update && install; }
else
  apt update && install
fi || {
  echo "tools/deps.sh: apt-get could not install: ${missing[*]} (its own words are above)" >&2
  exit 1
}
