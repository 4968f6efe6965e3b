# Start the ipyparallel controller of a cluster, unless it runs; controller.id tells it from others.
# Given: ip=ADDRESS
root=$HOME/.spotcluster
profile=$root/ipython
umask 077
mkdir -p "$profile/security" "$profile/pid" "$profile/log" "$root/logs"
pid=$(cat "$root/controller.pid" 2>/dev/null || true)
if [ -z "$pid" ] || ! ps -o args= -p "$pid" 2>/dev/null | grep -q ipyparallel; then
    # --reuse: a controller that is started again has the same ports and, by the pair kept here,
    # the same identity, so that connection files stay good. ipyparallel itself makes a new pair
    # each time, and then answers nobody. Engines of an earlier one are started anew (engines.sh).
    pair=$profile/security/curve
    if [ ! -s "$pair" ]; then
        "$root/env/bin/python" -c \
            'import zmq; print(*(key.decode() for key in zmq.curve_keypair()), sep="\n")' \
            >"$pair.new"
        mv "$pair.new" "$pair"
    fi
    { read -r IPP_CURVE_PUBLICKEY && read -r IPP_CURVE_SECRETKEY; } <"$pair"
    export IPP_CURVE_PUBLICKEY IPP_CURVE_SECRETKEY
    # hwm=1: an evaluation waits at the controller, where an engine that joins later can take it,
    # not behind another one on an engine.
    # A host that is silent for 5 heartbeats is dead: noticed after 5.0 to 5.3 s, measured.
    nohup "$root/env/bin/python" -m ipyparallel.controller \
        --profile-dir="$profile" --ip="$ip" --location="$ip" --reuse \
        --IPController.enable_curve=True \
        --HeartMonitor.period=750 --HeartMonitor.max_heartmonitor_misses=5 \
        --TaskScheduler.hwm=1 >>"$root/logs/controller.log" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$root/controller.pid.new"
    echo "$pid-$(date +%s)" >"$root/controller.id"
    mv "$root/controller.pid.new" "$root/controller.pid"
fi

# Its files may be there from an earlier one, so ask whether it listens.
answers() {
    [ -s "$profile/security/ipcontroller-client.json" ] || return 1
    port=$(sed -n 's/.*"registration": *\([0-9]*\).*/\1/p' \
        "$profile/security/ipcontroller-engine.json")
    [ -n "$port" ] && (exec 3<>"/dev/tcp/$ip/$port") 2>/dev/null
}

for _ in $(seq 300); do
    if answers; then
        exit 0
    fi
    if ! kill -0 "$pid" 2>/dev/null; then
        echo "The controller ended; its log says:" >&2
        tail -n 10 "$root/logs/controller.log" >&2
        exit 1
    fi
    sleep 0.1
done
echo "The controller did not listen within 30 s; its log says:" >&2
tail -n 10 "$root/logs/controller.log" >&2
exit 1
