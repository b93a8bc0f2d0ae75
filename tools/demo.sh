#!/usr/bin/env bash
# Three bibd nodes on 127.0.0.1 keep one real catalogue: formed from a join token, filled from this
# machine's Debian package lists, robbed of their leader in the middle of it, and equal at the end.
#
# usage: tools/demo.sh [--keep] [--dir DIR]
#
#   --keep     leave the cluster running, and its data where it is
#   --dir DIR  where the scratch folder is made (default: $TMPDIR or /tmp)
#
# Installs what is missing (tools/deps.sh), builds preset release, cleans up after itself, also on
# Ctrl-C. Ends only processes that it started. Exit code: 0 all went well, 1 something did not,
# 2 wrong usage.
set -euo pipefail
cd "$(dirname "$0")/.."

keep=false
parent=${TMPDIR:-/tmp}
while [[ $# -gt 0 ]]; do
  case $1 in
    --keep) keep=true ;;
    --dir) parent=${2:?--dir needs a folder}; shift ;;
    *) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' tools/demo.sh >&2; exit 2 ;;
  esac
  shift
done

say() { printf '\n== %s\n' "$*"; }

bin=$PWD/build/release/bin
scratch=
declare -A pid=()

cleanup() {
  local status=$?
  trap - EXIT INT TERM
  if $keep && [[ $status -eq 0 ]]; then exit 0; fi
  for i in "${!pid[@]}"; do kill "${pid[$i]}" 2>/dev/null || true; done
  for i in "${!pid[@]}"; do wait "${pid[$i]}" 2>/dev/null || true; done
  if [[ $status -eq 130 || $status -eq 143 ]]; then
    printf '\ndemo: interrupted; what it started has ended, and its folder is removed\n' >&2
  elif [[ $status -ne 0 ]] && compgen -G "$scratch/node*.log" >/dev/null; then
    echo "demo: failed; the last lines of the nodes' logs:" >&2
    tail -n 5 "$scratch"/node*.log >&2 || true
  fi
  [[ -z $scratch ]] || rm -rf "$scratch"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "Packages and build"
tools/deps.sh
cmake --preset release -DBIB_TESTS=OFF >/dev/null
cmake --build --preset release --parallel "$(nproc)" --target bib bibd raft-inspect

scratch=$(mktemp -d "$parent/bib-demo.XXXXXX")
catalogue=$scratch/catalogue
apt-cache dumpavail >"$catalogue"
if [[ $(grep -c '^Package:' "$catalogue") -lt 1000 ]]; then
  say "Package lists are empty: apt-get update"
  apt-get update -qq
  apt-cache dumpavail >"$catalogue"
fi
records=$(grep -c '^Package:' "$catalogue")

# Ports that nobody has: three pairs from a random place.
base=0
for _ in {1..50}; do
  candidate=$((20000 + RANDOM % 30000))
  taken=false
  for port in $(seq "$candidate" $((candidate + 5))); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then taken=true; fi
  done
  if ! $taken; then base=$candidate; break; fi
done
[[ $base -ne 0 ]] || { echo "demo: no free ports found" >&2; exit 1; }
raft_port() { echo $((base + 2 * $1 - 2)); }
api_port() { echo $((base + 2 * $1 - 1)); }
servers=127.0.0.1:$(api_port 1),127.0.0.1:$(api_port 2),127.0.0.1:$(api_port 3)
bib() { "$bin/bib" --server "$servers" "$@"; }

setup() {
  local i=$1
  shift
  "$bin/bib" setup --daemon --yes --config "$scratch/node$i/config.yaml" \
    --data-dir "$scratch/node$i/data" --listen "127.0.0.1:$(raft_port "$i")" \
    --api-listen "127.0.0.1:$(api_port "$i")" "$@"
}
start() {
  "$bin/bibd" --config "$scratch/node$1/config.yaml" >>"$scratch/node$1.log" 2>&1 &
  pid[$1]=$!
}
# until_true SECONDS COMMAND...
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    if [[ $SECONDS -ge $deadline ]]; then echo "demo: waited in vain for: $*" >&2; return 1; fi
    sleep 0.05
  done
}
three_healthy_voters() {
  [[ $(bib --timeout 2s -o json cluster status 2>/dev/null |
    tr -d ' \n' | grep -oE '"healthy":true' | wc -l) -ge 3 ]] &&
    bib --timeout 2s cluster status 2>/dev/null | grep -q 'Quorum: 2/3 (healthy)'
}
leader_node() {
  local address i
  address=$(bib --timeout 2s cluster status | sed -nE 's/^Leader:.*\((127[^)]*)\).*/\1/p')
  for i in 1 2 3; do
    if [[ $address == "127.0.0.1:$(raft_port "$i")" ]]; then echo "$i"; fi
  done
}

say "Node 1 founds a cluster"
setup 1 --cluster | tee "$scratch/setup.out"
token=$(grep -oE '^  [A-Za-z0-9+/=]{40,}$' "$scratch/setup.out" | tr -d ' ')
start 1

say "Nodes 2 and 3 join with the token"
for i in 2 3; do setup "$i" --cluster-join "$token"; start "$i"; done
until_true 60 three_healthy_voters
bib cluster status

say "$records package records go in; the leader is killed in the middle of it"
# A small write, again and again, measures how long no write gets through. Ends with its last write.
: >"$scratch/writes"
keep_writing() {
  local n=0 write=
  trap '[[ -z $write ]] || kill "$write" 2>/dev/null || true; exit 0' TERM
  while [[ ! -e $scratch/stop ]]; do
    n=$((n + 1))
    "$bin/bib" --server "$servers" --timeout 20s config set demo/heartbeat "$n" >/dev/null 2>&1 &
    write=$!
    if wait "$write"; then date +%s%N >>"$scratch/writes"; fi
  done
}
keep_writing &
pid[writer]=$!
# (Not by the function: its process would be a shell between us and the import.)
"$bin/bib" --server "$servers" --timeout 60s catalog import --format deb822 "$catalogue" \
  >"$scratch/import.out" 2>&1 &
import=$!
pid[import]=$import
half_done() { [[ $(wc -l <"$scratch/writes") -ge 20 ]]; }
until_true 30 half_done
victim=$(leader_node)
echo "kill -9 of node $victim, the leader"
killed_at=$(date +%s%N)
kill -9 "${pid[$victim]}"
wait "${pid[$victim]}" 2>/dev/null || true
wait "$import"
unset 'pid[import]'
cat "$scratch/import.out"

say "Node $victim comes back"
start "$victim"
until_true 60 three_healthy_voters
touch "$scratch/stop"
wait "${pid[writer]}" 2>/dev/null || true
unset 'pid[writer]'
gap=$(awk -v t="$killed_at" '$1 < t { last = $1 } $1 >= t { printf "%.0f", ($1 - (last ? last : t)) / 1e6; exit }' "$scratch/writes")

say "Importing the same again changes nothing"
bib --timeout 60s catalog import --format deb822 "$catalogue"

say "The cluster at the end"
bib cluster status
echo
same_digests() { bib cluster status --digests 2>/dev/null | grep -q 'Digests: equal'; }
until_true 30 same_digests
bib cluster status --digests | grep -E 'MEMBER|topics|catalog|Digests'
echo
echo "Topics:                    $(bib -o json topic list | grep -cE '"path":')"
echo "Datasets in the catalogue: $(bib -o json catalog list --limit 0 | grep -cE '"name":')"
echo "Records that went in:      $records"
echo "Write gap after the kill:  ${gap:-?} ms (from the last write before it to the first one after)"

if $keep; then
  cat <<END

The cluster keeps running. To look further:
  $bin/bib --server $servers cluster status
  $bin/bib --server $servers catalog list editors
  $bin/bib --server $servers events tail
  $bin/raft-inspect status $scratch/node1/data
To end it and remove it:
  kill ${pid[1]} ${pid[2]} ${pid[3]} && sleep 3 && rm -r $scratch
END
else
  echo
  echo "To look further, run tools/demo.sh --keep; it says how."
fi
