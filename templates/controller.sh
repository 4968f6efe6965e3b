# The controller, as a service. Given before it: ip=ADDRESS
umask 077
. layout.sh
profile=$ipython
mkdir -p "$security" "$profile/pid" "$profile/log" "$profile/startup" "$root/logs"
: >>"$profile/startup/README" # IPython would copy its own, with its mode
exec >>"$root/logs/controller.log" 2>&1
cd "$HOME" || exit 1
# --reuse: a controller that is started again has the same ports and, by the pair kept here, the
# same identity, so that connection files stay good. ipyparallel itself makes a new pair each time,
# and then answers nobody. Engines that are still there it takes in; see controller.py.
pair=$security/curve
if [ ! -s "$pair" ]; then
    "$env_python" -c \
        'import zmq; print(*(key.decode() for key in zmq.curve_keypair()), sep="\n")' \
        >"$pair.new" && mv "$pair.new" "$pair" || exit 1
fi
{ read -r IPP_CURVE_PUBLICKEY && read -r IPP_CURVE_SECRETKEY; } <"$pair"
export IPP_CURVE_PUBLICKEY IPP_CURVE_SECRETKEY
# hwm=1: an evaluation waits at the controller, where an engine that joins later can take it,
# not behind another one on an engine.
# A host that is silent for 5 heartbeats is dead: noticed after 5.0 to 5.3 s, measured.
exec "$env_python" "$services/controller.py" \
    --profile-dir="$profile" --ip="$ip" --location="$ip" --reuse \
    --IPController.enable_curve=True \
    --HeartMonitor.period=750 --HeartMonitor.max_heartmonitor_misses=5 \
    --TaskScheduler.hwm=1
