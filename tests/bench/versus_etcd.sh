#!/usr/bin/env bash
# versus_etcd.sh: three bibd against three etcd on this machine, on one disk, both durable; with
# --against, one build of bib against another, too.
#
# Each round starts a fresh cluster of one system, loads it at every level of in-flight events,
# stops it, and does the same with the next; the order is turned round from round to round, so that
# a slow spell of the machine hits all. They never run at the same time. In the end: a table of
# medians, and the targets, met or not; for two builds, the ratios of the pairs of each round
# (versus_report.awk).
#
# Raw results go to --out, one line of JSON for each run. Exit status 0 says that everything ran,
# whatever the figures; 1 that something failed to. Stops only what it started, and removes its
# scratch directory, on Ctrl-C too.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly repo

usage() {
  cat <<'USAGE'
Usage: tests/bench/versus_etcd.sh [options]

  --rounds N        rounds, each with all systems                         (3)
  --inflight LIST   levels of events in flight, with commas   (1,64,256,1000)
  --duration S      measured seconds of a run                             (8)
  --warmup S        seconds before those                                  (2)
  --size BYTES      bytes in a value                                    (256)
  --keys N          keys in the key space                            (100000)
  --connections N   etcd: connections of the load driver                  (8)
  --systems LIST    etcd,bib or one of them                        (etcd,bib)
  --no-etcd         like --systems bib, and nothing is installed
  --against DIR     the build directory of another build of bib, the old one:
                    both run, and the ratios new / old are shown
  --dir DIR         a directory on the disk to measure            (the build)
  --out FILE        the raw results       (BUILD/versus_etcd-<date>.jsonl)
  --build DIR       build directory                           (build/release)
  --port-base N     first of some twenty ports on 127.0.0.1           (23790)
  --no-deps         do not run tools/deps.sh --bench
  --no-build        do not configure and build
  -h, --help        this text
USAGE
}

rounds=3
levels=1,64,256,1000
duration=8
warmup=2
size=256
keys=100000
connections=8
systems=etcd,bib
against=
disk_dir=
out=
build=$repo/build/release
port_base=23790
with_deps=yes
with_build=yes

# What runs, to be stopped; where it runs, to be removed.
scratch=
server_pids=()
client_pid=

progress() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*" >&2; }

die() {
  printf 'versus_etcd.sh: %s\n' "$*" >&2
  exit 1
}

# --- Processes -----------------------------------------------------------------------------------

# Asks the given processes, all of them children of this shell, to end; after 10 s it kills them.
stop_processes() {
  local pid deadline=$((SECONDS + 10))
  for pid in "$@"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "$@"; do
    while kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
}

stop_cluster() {
  ((${#server_pids[@]})) && stop_processes "${server_pids[@]}"
  server_pids=()
}

clean_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM
  [[ -n $client_pid ]] && stop_processes "$client_pid"
  stop_cluster
  [[ -n $scratch ]] && rm -rf -- "$scratch"
  exit "$status"
}

# start_server LOG COMMAND...: in the background, remembered.
start_server() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 </dev/null &
  server_pids+=($!)
}

# run_client OUTPUT COMMAND...: in the background and waited for, so that a signal is heard at once.
run_client() {
  local output=$1 status=0
  shift
  "$@" >"$output" </dev/null &
  client_pid=$!
  wait "$client_pid" || status=$?
  client_pid=
  return "$status"
}

# Fails if one of the servers is gone.
servers_alive() {
  local pid
  for pid in "${server_pids[@]}"; do kill -0 "$pid" 2>/dev/null || return 1; done
}

# wait_until SECONDS COMMAND...: until it succeeds, while all servers live.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    servers_alive && ((SECONDS < deadline)) || return 1
    sleep 0.2
  done
}

# die_with_logs MESSAGE DIR: the ends of the logs in DIR first.
die_with_logs() {
  local log
  for log in "$2"/*.log; do
    [[ -s $log ]] || continue
    printf -- '--- end of %s\n' "$(basename "$log")" >&2
    tail -n 10 "$log" | cut -c 1-300 >&2
  done
  die "$1"
}

# The seconds of CPU that the servers have used.
servers_cpu_seconds() {
  local pid
  for pid in "${server_pids[@]}"; do cat "/proc/$pid/stat"; done |
    awk -v hz="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); s += $12 + $13 } END { print s / hz }'
}

# The seconds of CPU of this shell's ended children; between two calls that is the client's.
ended_cpu_seconds() {
  awk -v hz="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); print ($14 + $15) / hz }' "/proc/$$/stat"
}

port_is_free() { ! (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# find_binary DIR NAME HOW: HOW to get it, where it is missing.
find_binary() {
  local found
  found=$(find "$1" -type f -name "$2" -perm -u+x -print -quit 2>/dev/null)
  [[ -n $found ]] || die "$2 is not in $1. Build it: $3."
  printf '%s\n' "$found"
}

# --- etcd: its defaults, fsync on ----------------------------------------------------------------

etcd_endpoints=

# start_etcd_cluster DIR: three members in fresh data directories, waited for.
start_etcd_cluster() {
  local dir=$1 i peers='' client
  etcd_endpoints=
  for i in 1 2 3; do
    peers+=${peers:+,}node$i=http://127.0.0.1:$((port_base + 3 + i))
    etcd_endpoints+=${etcd_endpoints:+,}127.0.0.1:$((port_base + i))
  done
  for i in 1 2 3; do
    client=http://127.0.0.1:$((port_base + i))
    start_server "$dir/etcd-$i.log" etcd --name "node$i" --data-dir "$dir/etcd-$i" \
      --listen-client-urls "$client" --advertise-client-urls "$client" \
      --listen-peer-urls "http://127.0.0.1:$((port_base + 3 + i))" \
      --initial-advertise-peer-urls "http://127.0.0.1:$((port_base + 3 + i))" \
      --initial-cluster "$peers" --initial-cluster-state new --initial-cluster-token versus \
      --logger zap
  done
  # The driver waits until all members agree on a leader; then a put or two must get through.
  wait_until 60 "$etcd_driver" --endpoints "$etcd_endpoints" --leader-wait 5 \
    --inflight 1 --warmup 0 --duration 0.2 ||
    die_with_logs "etcd's cluster did not become healthy." "$dir"
}

# load_etcd OUTPUT INFLIGHT: one run; its JSON goes to OUTPUT.
load_etcd() {
  run_client "$1" "$etcd_driver" --endpoints "$etcd_endpoints" --inflight "$2" --size "$size" \
    --keys "$keys" --duration "$duration" --warmup "$warmup" --connections "$connections"
}

# --- bib: its defaults ---------------------------------------------------------------------------
# All that this script knows of bib's command line stands in the functions from here to load_bib. A
# build is loaded by its own client.

bib=
bibd=
bib_client=()
declare -A bib_of bibd_of  # by system: bib, base (the build of --against)

bib_peer_port() { echo $((port_base + 10 + $1)); }
bib_api_port() { echo $((port_base + 13 + $1)); }

# setup_bibd DIR NODE ARGUMENTS...: writes a node's configuration; what it prints is JSON.
setup_bibd() {
  local home=$1/bib-$2 node=$2
  shift 2
  mkdir -p "$home"
  HOME=$home XDG_CONFIG_HOME=$home/.config "$bib" setup --daemon --yes -o json \
    --listen "127.0.0.1:$(bib_peer_port "$node")" \
    --api-listen "127.0.0.1:$(bib_api_port "$node")" \
    --data-dir "$home/data" --config "$home/bibd.yaml" "$@"
}

three_voters() {
  timeout 5 "${bib_client[@]}" cluster status -o json | tr -d '\n' |
    awk '{ n = gsub(/"voter": *true/, "") } END { exit n < 3 }'
}

# start_bibd_cluster DIR: three nodes in fresh data directories, waited for.
start_bibd_cluster() {
  local dir=$1 i token
  bib_client=(env "HOME=$dir/bib-1" "XDG_CONFIG_HOME=$dir/bib-1/.config"
    "$bib" --server "127.0.0.1:$(bib_api_port 1)")
  for i in 1 2 3; do
    if ((i == 1)); then
      setup_bibd "$dir" 1 --cluster >"$dir/setup-1.log" 2>&1 ||
        die_with_logs "bib setup failed for node 1." "$dir"
      token=$(sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' "$dir/setup-1.log")
      [[ -n $token ]] || die_with_logs "bib setup printed no token." "$dir"
    else
      setup_bibd "$dir" "$i" --cluster-join "$token" >"$dir/setup-$i.log" 2>&1 ||
        die_with_logs "bib setup failed for node $i." "$dir"
    fi
    start_server "$dir/bibd-$i.log" env "HOME=$dir/bib-$i" \
      "XDG_CONFIG_HOME=$dir/bib-$i/.config" "$bibd" --config "$dir/bib-$i/bibd.yaml"
  done
  wait_until 60 three_voters ||
    die_with_logs "bib cluster status did not come to show three voters." "$dir"
}

# load_bib OUTPUT INFLIGHT: one run; its JSON goes to OUTPUT.
load_bib() {
  run_client "$1" "${bib_client[@]}" bench --inflight "$2" --size "$size" --keys "$keys" \
    --duration "${duration}s" --warmup "${warmup}s" -o json
}
load_base() { load_bib "$@"; }

# --- Rounds --------------------------------------------------------------------------------------

# field FILE NAME: a number out of the flat JSON in FILE.
field() { tr -d '\n' <"$1" | sed -n 's/.*"'"$2"'": *\([-+.0-9eE]*\).*/\1/p'; }

# measure ROUND SYSTEM INFLIGHT DIR: one run, appended to the results with what the CPUs did.
measure() {
  local round=$1 system=$2 inflight=$3 result=$4/result.json
  local servers clients started elapsed
  servers=$(servers_cpu_seconds)
  clients=$(ended_cpu_seconds)
  started=$EPOCHREALTIME
  "load_$system" "$result" "$inflight" ||
    die_with_logs "the load on $system at $inflight in flight failed." "$4"
  servers_alive || die_with_logs "a node of $system ended under $inflight in flight." "$4"
  elapsed=$(awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
  clients=$(awk -v a="$clients" -v b="$(ended_cpu_seconds)" -v t="$elapsed" \
    'BEGIN { printf "%.2f", (b - a) / t }')
  servers=$(awk -v a="$servers" -v b="$(servers_cpu_seconds)" -v t="$elapsed" \
    'BEGIN { printf "%.2f", (b - a) / t }')
  [[ -n $(field "$result" ops_per_second) && -n $(field "$result" p99_ms) ]] ||
    die "the load on $system printed no ops_per_second and p99_ms: $(head -c 300 "$result")"
  tr -d '\n' <"$result" | sed -e "s/^ *{/{\"round\":$round,\"servers_cpu\":$servers,\"client_cpu\":\
$clients,\"ran\":\"$system\",\"level\":$inflight,/" >>"$out"
  echo >>"$out"
  progress "$(printf 'round %s/%s  %-4s  %5s in flight: %8.0f/s  p50 %.2f ms  p99 %.2f ms  (CPUs: %s, client %s)' \
    "$round" "$rounds" "$system" "$inflight" "$(field "$result" ops_per_second)" \
    "$(field "$result" p50_ms)" "$(field "$result" p99_ms)" "$servers" "$clients")"
}

run_system() {
  local round=$1 system=$2 dir=$scratch/round-$1-$2 inflight
  mkdir -p "$dir"
  sync -f "$dir"  # nobody inherits the other's dirty pages
  progress "round $round/$rounds  $system: starting three nodes"
  if [[ $system == etcd ]]; then
    start_etcd_cluster "$dir"
  else
    bib=${bib_of[$system]} bibd=${bibd_of[$system]}
    start_bibd_cluster "$dir"
  fi
  for inflight in ${levels//,/ }; do measure "$round" "$system" "$inflight" "$dir"; done
  stop_cluster
  rm -rf -- "$dir"
}

# --- The report ----------------------------------------------------------------------------------

report() {
  awk -v levels="$levels" -v systems="$systems" -f "$repo/tests/bench/versus_report.awk" "$out"
}

# The commit that is checked out where DIR is.
commit_of() { git -C "$1" rev-parse --short HEAD 2>/dev/null || echo '(no commit)'; }

describe() {
  printf '%s, three nodes each on one machine, durable; medians of %d rounds of %d s,\n' \
    "$systems" "$rounds" "$duration"
  printf 'values of %d bytes, %d keys; %d cores, Linux %s.\n' "$size" "$keys" "$(nproc)" "$(uname -r)"
  [[ $systems == *bib* ]] && printf 'bib %s. ' "$(commit_of "$repo")"
  [[ $systems == *base* ]] && printf 'base %s in %s. ' "$(commit_of "$against")" "$against"
  [[ $systems == *etcd* ]] && printf 'etcd %s.' "$(etcd --version | sed -n 's/^etcd Version: //p')"
  printf '\n\n'
}

# --- Main ----------------------------------------------------------------------------------------

is_count() { [[ $1 =~ ^[1-9][0-9]*$ ]]; }

parse_arguments() {
  while (($#)); do
    case $1 in
      -h | --help) usage; exit 0 ;;
      --no-deps) with_deps=no; shift; continue ;;
      --no-build) with_build=no; shift; continue ;;
      --no-etcd) systems=bib with_deps=no; shift; continue ;;
    esac
    (($# >= 2)) || die "$1: unknown, or its value is missing. See --help."
    case $1 in
      --rounds) rounds=$2 ;;
      --inflight) levels=$2 ;;
      --duration) duration=$2 ;;
      --warmup) warmup=$2 ;;
      --size) size=$2 ;;
      --keys) keys=$2 ;;
      --connections) connections=$2 ;;
      --systems) systems=$2 ;;
      --against) against=$2 ;;
      --dir) disk_dir=$2 ;;
      --out) out=$2 ;;
      --build) build=$2 ;;
      --port-base) port_base=$2 ;;
      *) die "$1: unknown option. See --help." ;;
    esac
    shift 2
  done
  local name value
  for name in rounds duration size keys connections port_base; do
    value=${!name}
    is_count "$value" || die "--${name//_/-} takes a whole number above 0, not '$value'."
  done
  [[ $warmup =~ ^[0-9]+$ ]] || die "--warmup takes a whole number, not '$warmup'."
  [[ $levels =~ ^[1-9][0-9]*(,[1-9][0-9]*)*$ ]] || die "--inflight takes numbers with commas."
  [[ $systems =~ ^(etcd|bib)(,(etcd|bib))?$ ]] || die "--systems takes etcd,bib or one of them."
  [[ -n $against ]] || return 0
  [[ $systems == *bib* ]] || die "--against compares builds of bib, and --systems leaves bib out."
  [[ -d $against ]] || die "--against $against: there is no such directory."
  against=$(realpath -- "$against")
  systems+=,base
}

prepare() {
  local port targets=()
  build=$(realpath -m -- "$build")
  if [[ $with_deps == yes ]]; then
    progress "installing what the comparison needs (tools/deps.sh --bench)"
    "$repo/tools/deps.sh" --bench >&2 || die "tools/deps.sh --bench failed."
  fi
  if [[ $with_build == yes ]]; then
    [[ $systems == *bib* ]] && targets+=(bib bibd)
    [[ $systems == *etcd* ]] && targets+=(etcd_driver)
    progress "building ${targets[*]} in $build"
    (cd "$repo" &&
      cmake --preset release -B "$build" -DBIB_TESTS=ON -DBIB_BENCH=ON &&
      cmake --build "$build" --parallel "$(nproc)" --target "${targets[@]}") >&2 ||
      die "the build failed."
  fi
  if [[ $systems == *etcd* ]]; then
    [[ -n $(command -v etcd) ]] || die "etcd is not installed. Install it: tools/deps.sh --bench"
    etcd_driver=$(find_binary "$build" etcd_driver "run this script without --no-build")
    unset "${!ETCD@}"  # etcd takes options from the environment; ours are its defaults
  fi
  if [[ $systems == *bib* ]]; then
    bib_of[bib]=$(find_binary "$build" bib "run this script without --no-build")
    bibd_of[bib]=$(find_binary "$build" bibd "run this script without --no-build")
  fi
  if [[ $systems == *base* ]]; then
    bib_of[base]=$(find_binary "$against" bib "the targets bib and bibd, preset release")
    bibd_of[base]=$(find_binary "$against" bibd "the targets bib and bibd, preset release")
  fi
  for ((port = port_base + 1; port <= port_base + 16; port++)); do
    port_is_free "$port" || die "port $port is taken. Choose others with --port-base."
  done
  mkdir -p "${disk_dir:=$build}"
  scratch=$(mktemp -d "$(cd "$disk_dir" && pwd)/versus.XXXXXX")
  case $(stat -f -c %T "$scratch") in
    tmpfs | ramfs) progress "WARNING: $disk_dir is memory, not a disk: a sync costs nothing there" ;;
  esac
  : "${out:=$build/versus_etcd-$(date +%Y%m%d-%H%M%S).jsonl}"
  mkdir -p "$(dirname "$out")"
  : >"$out"
}

main() {
  parse_arguments "$@"
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  prepare
  local round system turned
  local order=${systems//,/ }
  for ((round = 1; round <= rounds; round++)); do
    turned=
    for system in $order; do
      run_system "$round" "$system"
      turned="$system $turned"
    done
    order=$turned
  done
  describe
  report
  printf '\nRaw results: %s\n' "$out"
}

main "$@"
