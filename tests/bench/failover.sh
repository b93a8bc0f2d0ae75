#!/usr/bin/env bash
# failover.sh: how long a client waits when the leader goes away, every timeout at its default.
#
# Builds, then runs bib_failover: three bibd on this machine, a client that writes all the time, and a
# leader that is killed, paused, cut off or asked to stop, again and again. Where packets must vanish,
# the nodes live in network namespaces behind a bridge, all inside a private network and mount
# namespace that goes away with this script: that needs root, or user namespaces. Stops only what it
# started.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

usage() {
  cat <<'USAGE'
Usage: tests/bench/failover.sh [mode] [options]

  --kill                 kill -9 of the leader                     (the default)
  --pause                SIGSTOP: a process that hangs
  --drop                 its packets vanish, no connection closes
  --handover             SIGTERM: it hands over and ends
  --partition-follower   a follower is cut off and comes back; nothing else may change
  --restart-all          kill -9 of all nodes, which start again at once
  --preload-mib N        so much log before the first round                  (0)
  --rounds N             how often                                         (200)
  --nodes N              in the cluster                                      (3)
  --out FILE             one line of JSON for each round
  --build DIR            build directory                         (build/release)
  --no-build             do not configure and build
  -h, --help             this text

Exit status 1: a write failed for good, or a partitioned follower disturbed the others.
USAGE
}

mode=kill
build=$repo/build/release
with_build=yes
nodes=3
inside=
pass=()
while (($# > 0)); do
  case $1 in
    --kill | --pause | --drop | --handover | --partition-follower | --restart-all) mode=${1#--} ;;
    --rounds | --out | --preload-mib) pass+=("$1" "$2"); shift ;;
    --nodes) nodes=$2; pass+=("$1" "$2"); shift ;;
    --build) build=$2; shift ;;
    --no-build) with_build= ;;
    --inside) inside=yes ;;  # for this script itself: the namespaces are made
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

if [[ -n $with_build && -z $inside ]]; then
  [[ -e $build/CMakeCache.txt ]] || (cd "$repo" && cmake --preset release -B "$build" >/dev/null)
  cmake -DBIB_TESTS=ON -DBIB_BENCH=ON "$build" >/dev/null
  cmake --build "$build" --target bib bibd bib_failover >/dev/null
fi

export BIB_BIB=$build/bin/bib BIB_BIBD=$build/bin/bibd

if [[ $mode == drop || $mode == partition-follower ]]; then
  if [[ -z $inside ]]; then
    namespaces=(--net --mount)
    ((EUID == 0)) || namespaces+=(--user --map-root-user)
    exec unshare "${namespaces[@]}" "${BASH_SOURCE[0]}" --inside --no-build --build "$build" \
      --nodes "$nodes" "--$mode" "${pass[@]}"
  fi
  mkdir -p /run/netns
  mount -t tmpfs tmpfs /run/netns
  ip link set lo up
  ip link add switch type bridge
  ip address add 10.77.0.254/24 dev switch
  ip link set switch up
  for ((node = 1; node <= nodes; ++node)); do
    ip netns add "node$node"
    ip link add "port$node" type veth peer name eth0 netns "node$node"
    ip link set "port$node" master switch up
    ip -n "node$node" link set lo up
    ip -n "node$node" address add "10.77.0.$node/24" dev eth0
    ip -n "node$node" link set eth0 up
  done
fi

exec "$build/bin/bib_failover" --mode "$mode" "${pass[@]}"
