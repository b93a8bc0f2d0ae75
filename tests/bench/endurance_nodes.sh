# The nodes, feeds and samples of endurance.sh, which reads this file. From there: build, bib, inspect,
# scratch, settings, nodes, port_base and servers; and problem and die.

declare -A node_pid started feed_pid feed_server ids ended_status
restarted_feeds=0

# --- Processes -----------------------------------------------------------------------------------

# Asks the given processes, all of them children of this shell, to end; after 10 s it kills them.
stop_processes() {
  local pid deadline=$((SECONDS + 10))
  for pid in "$@"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "$@"; do
    kill -CONT "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
    ended_status[$pid]=0
    wait "$pid" 2>/dev/null || ended_status[$pid]=$?
  done
}

stop_all() {
  local node
  [[ -z $client_pid ]] || stop_processes "$client_pid"
  stop_processes "${feed_pid[@]}"
  stop_processes "${node_pid[@]}"
  for node in "${!node_pid[@]}"; do
    ((ended_status[${node_pid[$node]}] == 0)) ||
      problem "node $node, asked to end, ended with status ${ended_status[${node_pid[$node]}]}"
  done
  client_pid='' node_pid=() feed_pid=()
}

peer_port() { echo $((port_base + $1)); }
api_address() { echo "127.0.0.1:$((port_base + 4 + $1))"; }
port_is_free() { ! (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start_node() {
  env "${settings[@]}" "$build/bin/bibd" --config "$scratch/node$1/bibd.yaml" \
    >>"$scratch/node$1.log" 2>&1 </dev/null &
  node_pid[$1]=$!
  started[$1]=$SECONDS
}

# A node that runs no longer, although nobody killed it: a problem, and the end of the run.
nodes_alive() {
  local node status=0
  for node in "${nodes[@]}"; do
    kill -0 "${node_pid[$node]}" 2>/dev/null && continue
    wait "${node_pid[$node]}" || status=$?
    problem "node $node ended by itself, with status $status"
    tail -n 5 "$scratch/node$node.log" | cut -c 1-300 >&2
    unset "node_pid[$node]"
    return 1
  done
}

# start_feed NUMBER SERVER: a reader of all events; how many it has got goes to its count at its end.
start_feed() {
  "$bib" --server "$2" events tail </dev/null 2>>"$scratch/feed$1.log" \
    > >(exec wc -l >>"$scratch/feed$1.count") &
  feed_pid[$1]=$!
  feed_server[$1]=$2
}

watch_feeds() {
  local feed
  for feed in "${!feed_pid[@]}"; do
    kill -0 "${feed_pid[$feed]}" 2>/dev/null && continue
    wait "${feed_pid[$feed]}" 2>/dev/null || true
    restarted_feeds=$((restarted_feeds + 1))
    start_feed "$feed" "${feed_server[$feed]}"
  done
}

# --- Samples -------------------------------------------------------------------------------------

# disk NODE: files, MiB of the log, the store, the snapshots, and of all: files of a snapshot that the
# store still has, too, count once there.
disk() {
  { find "$scratch/node$1/data" -type f -printf '%i %b %P\n' 2>/dev/null || true; } | awk '
    { split($3, part, "/"); mb[part[1]] += $2 / 2048; if (!seen[$1]++) all += $2 / 2048 }
    END { printf "%d\t%.1f\t%.1f\t%.1f\t%.1f", NR, mb["log"], mb["state"], mb["snapshots"], all }'
}

# positions NODE: first and last entry of its log, and its rows; a node that does not answer is looked at
# from outside.
positions() {
  local json first last rows=-
  json=$("$bib" --server "$(api_address "$1")" --consistency stale --timeout 2s -o json cluster status \
    2>/dev/null | tr -d ' \n') || true
  if [[ $json == *'"node":{'* ]]; then
    json=${json##*\"node\":\{}
    rows=$(grep -o '"rows":[0-9]*' <<<"$json" | awk -F: '{ n += $2 } END { print n + 0 }')
  elif [[ -x $inspect ]]; then
    json=$("$inspect" status -o json "$scratch/node$1/data" 2>/dev/null | tr -d ' \n') || true
  fi
  first=$(grep -o -m 1 '"first_index":[0-9]*' <<<"$json" | head -n 1 | cut -d : -f 2) || true
  last=$(grep -o -m 1 '"last_index":[0-9]*' <<<"$json" | head -n 1 | cut -d : -f 2) || true
  printf '%s\t%s\t%s' "${first:--}" "${last:--}" "$rows"
}

# sample MINUTE: a line for each node.
sample() {
  local node pid memory threads
  for node in "${nodes[@]}"; do
    pid=${node_pid[$node]}
    memory=$(awk '/^VmRSS:/ { printf "%.1f", $2 / 1024 }' "/proc/$pid/status") || true
    threads=$(awk '/^Threads:/ { print $2 }' "/proc/$pid/status") || true
    printf '%d\t%s\t%d\t%d\t%s\t%d\t%s\t%s\t%s\n' "$1" "$happened" "$node" \
      "$((SECONDS - started[$node]))" "${memory:--}" "$(find "/proc/$pid/fd" -type l | wc -l)" \
      "${threads:--}" "$(disk "$node")" "$(positions "$node")" >>"$scratch/samples"
    progress "minute $(tail -n 1 "$scratch/samples" | tr '\t' ' ')"
  done
  happened=-
}

# --- The cluster ---------------------------------------------------------------------------------

setup_node() {
  local node=$1
  shift
  "$bib" setup --daemon --yes -o json --config "$scratch/node$node/bibd.yaml" \
    --data-dir "$scratch/node$node/data" --listen "127.0.0.1:$(peer_port "$node")" \
    --api-listen "$(api_address "$node")" "$@" >"$scratch/setup$node.json" ||
    die "bib setup failed for node $node."
  ids[$node]=$(sed -n 's/.*"node_id": *"\([^"]*\)".*/\1/p' "$scratch/setup$node.json")
}

# Whether as many members as the argument says are healthy.
healthy() {
  [[ $("$bib" --server "$servers" --timeout 2s -o json cluster status 2>/dev/null |
    grep -c '"healthy": true') -ge $1 ]]
}
same_digests() {
  "$bib" --server "$servers" --timeout 5s cluster status --digests 2>/dev/null |
    grep -q 'Digests: equal'
}

# until_true SECONDS COMMAND...: fails if it does not come true, or a node has ended.
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) && nodes_alive || return 1
    sleep 0.3
  done
}

start_cluster() {
  local node token
  for node in "${nodes[@]}"; do
    case $node in
      1)
        setup_node 1 --cluster
        token=$(sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' "$scratch/setup1.json")
        ;;
      4) setup_node 4 --cluster-join "$token" --non-voter ;;
      *) setup_node "$node" --cluster-join "$token" ;;
    esac
    start_node "$node"
  done
  until_true 60 healthy "${#nodes[@]}" || die "bib cluster status did not come to show all members."
}

# Sleeps in short steps, so that signals are heard.
sleep_until() {
  while ((SECONDS < $1)); do sleep 0.5; done
}

# The number of the node that leads.
leader() {
  local id node
  id=$("$bib" --server "$servers" -o json cluster status 2>/dev/null |
    sed -n 's/^  "leader": *"\([^"]*\)".*/\1/p')
  for node in "${nodes[@]}"; do [[ ${ids[$node]} != "$id" ]] || echo "$node"; done
}
