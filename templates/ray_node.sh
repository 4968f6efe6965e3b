# Ray on a node, as a service: its head on the master, a raylet on the others, which leaves when its
# node does. Given before it: alias=NAME ip=ADDRESS head=ADDRESS-OR-EMPTY cpus=NUMBER limit=SECONDS
# free_port=PROGRAM
umask 077
. layout.sh
[ ! -e "$drain" ] || exit "$stay_ended" # its node is leaving: it is not to be started again
mkdir -p "$root/logs"
exec >>"$root/logs/ray.log" 2>&1
cd "$HOME" || exit 1
rm -f "$ray/ready"
# Ray opens its own folder to all users, so it is within one that is ours. The names of sockets have a
# limit of 107 bytes, of which Ray takes 70; a host of the local cloud has too long a home for that.
folder=$ray
if [ "${#folder}" -gt 37 ]; then
    folder=$(cat "$ray/folder" 2>/dev/null)
    if [ ! -O "$folder" ]; then
        folder=$(mktemp -d /tmp/ray.XXXXXX) || exit 1
        echo "$folder" >"$ray/folder"
    fi
fi
export SPOTCLUSTER_NODE=$alias VIRTUAL_ENV=$env PATH=${env_python%/*}:$PATH
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$ray/token RAY_USAGE_STATS_ENABLED=0
set -- --node-ip-address "$ip" --num-cpus "$cpus" --temp-dir "$folder/s" --disable-usage-stats
if [ -z "$head" ]; then
    # shellcheck disable=SC2046 # there may be none
    port=$("$env_python" -c "$free_port" "$ip" $(cat "$ray/port" 2>/dev/null) 6379)
    client=$("$env_python" -c "$free_port" "$ip" 10001)
    echo "$port" >"$ray/port"
    echo "$client" >"$ray/client"
    head=$ip:$port
    set -- "$@" --head --port "$port" --ray-client-server-port "$client" \
        --dashboard-host 127.0.0.1 --dashboard-port 8265
else
    set -- "$@" --address "$head"
fi
# For every Python of this account, so that `ray.init()` finds it: ray_environment.py.
printf '%s' "$head" >"$ray/address.new" && mv "$ray/address.new" "$ray/address"

"$env_python" -m ray.scripts.scripts start "$@" --block &
started=$!
"$env_python" -u "$services/ray_watch.py" "$head" "$ip" "$drain" "$limit" &
watching=$!
trap 'kill -TERM "$started" "$watching" 2>/dev/null' TERM
wait "$started"
status=$?
if kill -0 "$started" 2>/dev/null; then # a signal ends `wait`, not Ray
    wait "$started"
    status=$?
fi
kill -TERM "$watching" 2>/dev/null
rm -f "$ray/ready" "$ray/tasks"
exit "$status"
