#!/usr/bin/env bash
# faults.sh: what clients see while disks, links and members are not well, every timeout at its default.
#
# Builds, then runs bib_faults: a cluster of bibd on this machine and clients that write all the time,
# once for each fault. Prints writes, the longest that one took, and what was lost. Stops only what it
# started.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

usage() {
  cat <<'USAGE'
Usage: tests/bench/faults.sh [fault...] [options]

  --stall          the leader's disk stalls: nothing becomes durable there
  --many-clients   200 clients, and the leader is killed
  --one-way        links that pass in one direction only: four cuts, one after another
  --links          links of 100 ms, which then also stand still for 2 s every 7 s
  --joins          five nodes join a single one at once
                   (all of them, one after another, when none is named: some 5 minutes)
  --seconds N      of each fault                                    (30)
  --clients N      that write                 (8, or 200 for --many-clients)
  --build DIR      build directory                       (build/release)
  --no-build       do not configure and build
  -h, --help       this text

Exit status 1: a write that was acknowledged is missing, one failed for good, or a cluster did not
become healthy again.
USAGE
}

build=$repo/build/release
with_build=yes
modes=()
pass=()
while (($# > 0)); do
  case $1 in
    --stall | --one-way | --links | --joins) modes+=("${1#--}") ;;
    --many-clients) modes+=(clients) ;;
    --seconds | --clients) pass+=("$1" "$2"); shift ;;
    --build) build=$2; shift ;;
    --no-build) with_build= ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
((${#modes[@]} > 0)) || modes=(stall clients one-way links joins)

if [[ -n $with_build ]]; then
  [[ -e $build/CMakeCache.txt ]] || (cd "$repo" && cmake --preset release -B "$build" >/dev/null)
  cmake -DBIB_TESTS=ON -DBIB_BENCH=ON "$build" >/dev/null
  cmake --build "$build" --target bib bibd stalled-disk bib_faults >/dev/null
fi

export BIB_BIB=$build/bin/bib BIB_BIBD=$build/bin/bibd
export BIB_STALLED_DISK=$build/tests/cluster/stall/libstalled-disk.so

status=0
for mode in "${modes[@]}"; do
  "$build/bin/bib_faults" --mode "$mode" "${pass[@]}" || status=1
done
exit "$status"
