#!/usr/bin/env bash
# endurance.sh: whether bibd stays as it is over an hour: memory, descriptors, files, disk.
#
# --mixed: three nodes under all kinds of load at once, paced to some half a core: bursts of writes and
# reads, values of 100 KB, reads at each consistency, lists, an import, four feeds that run all the time,
# snapshots, and one node a minute killed (-9) in turn, in the middle of a burst, and started again.
# Settings are the defaults but for mixed_settings: log files of 8 MiB, a snapshot after 10,000 entries and
# 5,000 kept below it, so that there is a snapshot every few minutes and the log is cut.
#
# --stopped: three voters and a learner, under writes of 4 KB. The learner and a feed of the leader are
# stopped (SIGSTOP); the leadership is transferred at one third and at two thirds, the learner removed at
# one half. Settings: stopped_settings, small enough for the log to be cut every few minutes.
#
# Each minute has a row for each node, taken just before the node is killed. The verdict's rules are in
# endurance.awk and in the report. Stops only what it started, and removes its scratch directory, on
# Ctrl-C too.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly repo
# shellcheck source=tests/bench/endurance_nodes.sh
source "$repo/tests/bench/endurance_nodes.sh"

usage() {
  cat <<'USAGE'
Usage: tests/bench/endurance.sh [mode] [options]

  --mixed [MINUTES]    load of all kinds, a node a minute killed         (the default, 60)
  --stopped [MINUTES]  a learner and a feed that are stopped                          (30)
  --kill-every N       mixed: minutes from kill to kill; 0: never                      (1)
  --out FILE           the report, in Markdown     (BUILD/endurance-<mode>-<date>.md)
  --dir DIR            where the scratch directory is made                     (the build)
  --keep               leave the scratch directory: logs, samples, clients' errors, data
  --port-base N        first of ten ports on 127.0.0.1                             (24790)
  --build DIR          build directory                                     (build/release)
  --no-build           do not configure and build
  -h, --help           this text

Exit status 1: not flat, a node ended by itself, digests differ, or a read was wrong. Runs of less
than some 20 minutes show that everything works; what they measure is how caches fill.
USAGE
}

mode=mixed
minutes=
kill_every=1
out=
parent=
keep=
port_base=24790
build=$repo/build/release
with_build=yes

# Seconds from one round of load to the next.
readonly round_seconds=10
readonly big_bytes=100000

# What differs from the defaults; the same on all nodes.
readonly mixed_settings=(
  BIBD_LOG_SEGMENT_BYTES=8MiB
  BIBD_CLUSTER_RAFT_TRAILING_LOGS=5000
  BIBD_CLUSTER_SNAPSHOT_THRESHOLD=10000)
# MiB: what the bounds of the verdict are made of, too.
readonly segment=8 bytes_max=32 trailing=16 held=64 log_cache=16 row_cache=16 block_cache=32
readonly feeds=32 unread=16
readonly stopped_settings=(
  BIBD_LOG_SEGMENT_BYTES=${segment}MiB
  BIBD_LOG_CACHE_BYTES=${log_cache}MiB
  BIBD_CLUSTER_RAFT_TRAILING_BYTES=${trailing}MiB
  BIBD_CLUSTER_SNAPSHOT_THRESHOLD=1000000
  BIBD_CLUSTER_SNAPSHOT_BYTES_MAX=${bytes_max}MiB
  BIBD_CLUSTER_SNAPSHOT_HELD_BYTES_MAX=${held}MiB
  BIBD_STORE_ROW_CACHE=${row_cache}MiB
  BIBD_STORE_BLOCK_CACHE=${block_cache}MiB
  BIBD_LIMITS_FEED_BYTES=${feeds}MiB
  BIBD_LIMITS_UNREAD_BYTES=${unread}MiB)
# The log: entries since the last snapshot and below it, at most doubled by blocks of 4 KiB that entries
# of 4 KB do not fill; two more files and the one prepared; a burst while a snapshot is made.
readonly log_bound=$((2 * (bytes_max + trailing) + 3 * segment + 16))
# Memory: 64 MiB for the process itself and RocksDB's tables, and what the settings allow.
readonly rss_bound=$((64 + log_cache + row_cache + block_cache + feeds + unread))

settings=()
nodes=()
scratch=
bib=
inspect=
servers=
declare -A attempts failures
client_pid=
happened=-     # since the last row
problems=()

progress() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*" >&2; }

die() {
  printf 'endurance.sh: %s\n' "$*" >&2
  exit 1
}

# What happens between two rows.
note() {
  [[ $happened != - ]] && happened+=", $1" || happened=$1
}

problem() {
  problems+=("$*")
  progress "$*"
}

# --- Clean-up ----------------------------------------------------------------------------------

clean_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  stop_all
  if [[ -n $scratch && -n $keep ]]; then
    progress "logs, samples and data: $scratch"
  elif [[ -n $scratch ]]; then
    rm -rf -- "$scratch"
  fi
  exit "$status"
}

# --- Clients -------------------------------------------------------------------------------------

# begin KIND ARGUMENTS...: runs bib in the background; end KIND waits for it, counts it, and fails if it
# failed. What it printed is in $scratch/answer.
input=/dev/null
begin() {
  attempts[$1]=$((${attempts[$1]:-0} + 1))
  "$bib" --server "$servers" "${@:2}" >"$scratch/answer" 2>"$scratch/error" <"$input" &
  client_pid=$!
}
end() {
  local status=0
  wait "$client_pid" || status=$?
  client_pid=
  ((status)) || return 0
  failures[$1]=$((${failures[$1]:-0} + 1))
  printf '%s %s, status %d: %s\n' "$(date +%H:%M:%S)" "$1" "$status" \
    "$(tr '\n' ' ' <"$scratch/error")" >>"$scratch/errors.log"
  return "$status"
}
client() {
  begin "$@"
  end "$1"
}

# number NAME: out of the JSON in the last answer.
number() { tr -d ' \n' <"$scratch/answer" | sed -n 's/.*"'"$1"'":\([-+.0-9eE]*\).*/\1/p'; }

begin_burst() {
  if [[ $mode == mixed ]]; then
    begin bench -o json bench --inflight 16 --read-ratio 0.3 --keys 20000 --duration 2s --warmup 0s \
      --seed "$SECONDS"
  else
    begin bench -o json bench --inflight 16 --size 4096 --keys 2000 --duration 1s --warmup 0s \
      --seed "$SECONDS"
  fi
}
end_burst() {
  end bench || return 0
  attempts[requests of bench]=$((${attempts[requests of bench]:-0} + $(number ops)))
  failures[requests of bench]=$((${failures[requests of bench]:-0} + $(number errors)))
}

# A value of 100 KB is set and read at each level; only a stale read may see an older one. Events are
# listed from somewhat before it: what is far before is cut off the log.
list_from=1
big_values() {
  local level position key=endurance/big/$((SECONDS % 50)) written=
  head -c $((big_bytes * 3 / 4)) /dev/urandom | base64 -w 0 >"$scratch/value"
  input=$scratch/value
  if client set config set "$key" -; then
    written=yes
    position=$(sed -n 's/.*position \([0-9]*\):.*/\1/p' "$scratch/answer")
    list_from=$((position > 1000 ? position - 1000 : 1))
  fi
  input=/dev/null
  for level in linearizable leader stale; do
    client "get, $level" --consistency "$level" config get "$key" || continue
    [[ -n $written && $level != stale ]] || continue
    cmp -s -n "$big_bytes" "$scratch/value" "$scratch/answer" ||
      problem "a $level read of $key did not show what had been written"
  done
}

lists() {
  client "list of keys" config list --prefix bench/1 --limit 500 || true
  client "list of events" events list --from $list_from:0 --limit 200 || true
  client "list of datasets" catalog list --limit 100 || true
}

# Twenty records, each with a new version each minute.
import() {
  local i
  for i in {1..20}; do
    printf 'Package: endurance-%d\nVersion: %d\nArchitecture: all\nSection: misc\n' "$i" "$1"
    printf 'Filename: pool/endurance-%d.deb\nSize: 1000\nSHA256: %064d\nDescription: a record\n\n' \
      "$i" "$((i * 100000 + $1))"
  done >"$scratch/records"
  client import catalog import --format deb822 "$scratch/records" || true
}

# --- Mixed ---------------------------------------------------------------------------------------

# A burst is under way when the node is killed.
kill_and_restart() {
  begin_burst
  sleep 0.7
  kill -KILL "${node_pid[$1]}"
  wait "${node_pid[$1]}" 2>/dev/null || true
  start_node "$1"
  note "kill $1"
  end_burst
}

mixed_round() {
  begin_burst
  end_burst
  big_values
  lists
}

# A snapshot that is asked for, beside those that come by themselves.
ask_for_snapshot() {
  local all=$servers
  servers=$(api_address "$1")
  client snapshot snapshot create || true
  servers=$all
}

run_mixed() {
  local begun=$SECONDS minute victim=0 next feed
  for feed in 1 2 3; do start_feed "$feed" "$(api_address "$feed")"; done
  start_feed 4 "$servers"
  for ((minute = 1; minute <= minutes; minute++)); do
    next=$SECONDS
    while ((SECONDS < begun + minute * 60 - 3)); do
      mixed_round
      watch_feeds
      nodes_alive || return 0
      next=$((next + round_seconds))
      ((next < begun + minute * 60)) || next=$((begun + minute * 60))
      sleep_until "$next"
    done
    import "$minute"
    ((minute % 3 != 2)) || ask_for_snapshot $((minute / 3 % 3 + 1))
    sleep_until $((begun + minute * 60))
    nodes_alive || return 0
    sample "$minute"
    if ((kill_every && minute % kill_every == 0 && minute < minutes)); then
      victim=$((victim % 3 + 1))
      kill_and_restart "$victim"
    fi
  done
  until_true 60 same_digests || problem "the members' digests do not become equal within 60 s"
}

# --- Stopped -------------------------------------------------------------------------------------

transfer_leadership() {
  local from
  from=$(leader)
  client transfer cluster transfer || problem "the leadership was not transferred: $(<"$scratch/error")"
  note "transfer ${from:-?} to $(leader)"
}

remove_learner() {
  client removal cluster member remove "${ids[4]}" ||
    problem "the learner was not removed: $(<"$scratch/error")"
  note "removal 4"
}

# What is due by now, in parts of the run: 2, 3 and 4 sixths.
stopped_sixths=0
do_what_is_due() {
  local sixths=$((($1 * 6) / (minutes * 60)))
  ((stopped_sixths < 2 && sixths >= 2)) && stopped_sixths=2 && transfer_leadership
  ((stopped_sixths < 3 && sixths >= 3)) && stopped_sixths=3 && remove_learner
  ((stopped_sixths < 4 && sixths >= 4)) && stopped_sixths=4 && transfer_leadership
  return 0
}

# What becomes of the two when they may run again: said, not judged.
wake_both() {
  kill -CONT "${node_pid[4]}" "${feed_pid[1]}"
  sleep_until $((SECONDS + 20))
  printf '\nTwenty seconds after they were let run again, the feed %s' \
    "$(kill -0 "${feed_pid[1]}" 2>/dev/null && echo 'runs' || echo 'has ended')"
  printf ' (its last words: %s),\nand the removed learner %s; what its log says of that:\n\n' \
    "$(tail -n 1 "$scratch/feed1.log")" \
    "$(kill -0 "${node_pid[4]}" 2>/dev/null && echo 'runs' || echo 'has ended')"
  { grep -E 'refuses this node|was removed' "$scratch/node4.log" || echo 'nothing'; } |
    tail -n 3 | cut -c 1-160 | sed 's/^/    /'
}

run_stopped() {
  local begun minute next
  begin_burst
  end_burst
  start_feed 1 "$(api_address "$(leader)")"
  sleep 1
  kill -STOP "${node_pid[4]}" "${feed_pid[1]}"
  note "stop of 4 and a feed"
  begun=$SECONDS
  for ((minute = 1; minute <= minutes; minute++)); do
    next=$SECONDS
    while ((SECONDS < begun + minute * 60 - 3)); do
      do_what_is_due $((SECONDS - begun))
      begin_burst
      end_burst
      nodes_alive || return 0
      next=$((next + round_seconds))
      sleep_until $((next < begun + minute * 60 ? next : begun + minute * 60))
    done
    sample "$minute"
  done
  wake_both >"$scratch/woken"
  until_true 60 same_digests || problem "the members' digests do not become equal within 60 s"
}

# --- The report ----------------------------------------------------------------------------------

# The seconds of CPU of this shell's ended children, with theirs.
ended_cpu_seconds() {
  awk -v hz="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); print ($14 + $15) / hz }' "/proc/$$/stat"
}

counts() {
  local kind feed
  printf '\nClients: '
  for kind in "${!attempts[@]}"; do
    printf '%s: %d of %d failed; ' "$kind" "${failures[$kind]:-0}" "${attempts[$kind]}"
  done
  printf 'feeds: restarted %d times' "$restarted_feeds"
  for feed in "$scratch"/feed*.count; do
    printf ', %d events' "$(awk '{ n += $1 } END { print n + 0 }' "$feed")"
  done
  printf '.\n'
  [[ ! -s $scratch/errors.log ]] || { printf '\n'; head -n 5 "$scratch/errors.log" | sed 's/^/    /'; }
}

report() {
  local all=''
  ((${#problems[@]} == 0)) || all=$(printf '%s; ' "${problems[@]}")
  printf 'endurance.sh --%s %d: bib %s, %s nodes on %s cores, Linux %s; nodes and clients used %.2f of a core.\n' \
    "$mode" "$minutes" "$(git -C "$repo" rev-parse --short HEAD 2>/dev/null || echo '(no commit)')" \
    "${#nodes[@]}" "$(nproc)" "$(uname -r)" "$1"
  printf 'Beside the defaults: %s\n\n' "$(printf '%s ' "${settings[@]}")"
  awk -F '\t' -v mode="$mode" -v minutes="$minutes" -v problems="${all%; }" -v kills="$kill_every" \
    -v log_bound="$log_bound" -v held_bound="$((log_bound + 2 * held))" -v rss_bound="$rss_bound" \
    -v details="$(counts; cat "$scratch/woken" 2>/dev/null || true)" \
    -f "$repo/tests/bench/endurance.awk" "$scratch/samples"
}

# --- Main ----------------------------------------------------------------------------------------

parse_arguments() {
  while (($#)); do
    case $1 in
      -h | --help) usage; exit 0 ;;
      --mixed | --stopped)
        mode=${1#--}
        if [[ ${2:-} =~ ^[0-9]+$ ]]; then minutes=$2; shift; fi
        shift
        continue
        ;;
      --keep) keep=yes; shift; continue ;;
      --no-build) with_build=; shift; continue ;;
    esac
    (($# >= 2)) || die "$1: unknown, or its value is missing. See --help."
    case $1 in
      --kill-every) kill_every=$2 ;;
      --out) out=$2 ;;
      --dir) parent=$2 ;;
      --port-base) port_base=$2 ;;
      --build) build=$2 ;;
      *) die "$1: unknown option. See --help." ;;
    esac
    shift 2
  done
  [[ $mode == mixed ]] && : "${minutes:=60}"
  : "${minutes:=30}"
  ((minutes >= 3)) || die "--$mode takes at least 3 minutes, not $minutes."
  [[ $kill_every =~ ^[0-9]+$ ]] || die "--kill-every takes a whole number, not '$kill_every'."
  [[ $port_base =~ ^[1-9][0-9]*$ ]] || die "--port-base takes a whole number above 0, not '$port_base'."
}

prepare() {
  local port name
  build=$(realpath -m -- "$build")
  if [[ -n $with_build ]]; then
    [[ -e $build/CMakeCache.txt ]] || (cd "$repo" && cmake --preset release -B "$build" >/dev/null)
    cmake --build "$build" --target bib bibd raft-inspect >/dev/null || die "the build failed."
  fi
  for name in bib bibd; do
    [[ -x $build/bin/$name ]] || die "$build/bin/$name is missing. Run this script without --no-build."
  done
  bib=$build/bin/bib inspect=$build/bin/raft-inspect
  for ((port = port_base + 1; port <= port_base + 8; port++)); do
    port_is_free "$port" || die "port $port is taken. Choose others with --port-base."
  done
  unset "${!BIBD_@}" "${!BIB_@}"  # bibd takes settings from the environment; only ours are to count
  : "${out:=$build/endurance-$mode-$(date +%Y%m%d-%H%M%S).md}"
  mkdir -p "$(dirname "$out")" "${parent:=$build}"
  scratch=$(mktemp -d "$(cd "$parent" && pwd)/endurance.XXXXXX")
  export HOME=$scratch XDG_CONFIG_HOME=$scratch/.config
  : >"$scratch/samples"
}

main() {
  local status=0 begun=$EPOCHREALTIME used
  parse_arguments "$@"
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  prepare
  nodes=(1 2 3)
  [[ $mode == mixed ]] || nodes+=(4)
  [[ $mode == mixed ]] && settings=("${mixed_settings[@]}") || settings=("${stopped_settings[@]}")
  servers=$(api_address 1),$(api_address 2),$(api_address 3)
  used=$(ended_cpu_seconds)
  start_cluster
  progress "--$mode, $minutes minutes, in $scratch"
  "run_$mode"
  stop_all
  used=$(awk -v a="$used" -v b="$(ended_cpu_seconds)" -v s="$begun" -v e="$EPOCHREALTIME" \
    'BEGIN { print (b - a) / (e - s) }')
  report "$used" >"$out" || status=1
  cat "$out"
  progress "the report is in $out"
  exit "$status"
}

main "$@"
