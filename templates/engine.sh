# An engine, as a service. Given before it: alias=NAME, imds=1 where the machine may ask EC2's
# metadata service of itself; argument: its number on this node
umask 077
number=$1
. layout.sh
profile=$ipython
[ ! -e "$drain" ] || exit "$stay_ended" # its node is leaving: it is not to be started again
mkdir -p "$profile/pid" "$profile/log" "$profile/startup" "$root/logs"
: >>"$profile/startup/README" # IPython would copy its own, with its mode
exec >>"$root/logs/engine-$number.log" 2>&1
export SPOTCLUSTER_NODE=$alias SPOTCLUSTER_DRAIN_FLAG=$drain
# One engine is one core: more BLAS threads would fight for it.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1 \
    NUMEXPR_NUM_THREADS=1 BLIS_NUM_THREADS=1
export VIRTUAL_ENV=$env PATH=${env_python%/*}:$PATH # for what they start: pip, first of all
cd "$HOME" || exit 1

# EC2 says two minutes before it takes a spot instance back. From then on this node's engines take
# nothing new, as when it is removed: what would not be finished goes elsewhere at once.
watch_for_interruption() {
    local service=http://169.254.169.254/latest token= asked=-99999
    while sleep 5; do
        if [ $((SECONDS - asked)) -gt 3000 ]; then
            token=$(curl -sf --noproxy '*' -m 2 -X PUT "$service/api/token" \
                -H 'X-aws-ec2-metadata-token-ttl-seconds: 3600') || continue
            asked=$SECONDS
            [ "$(metadata instance-life-cycle)" = spot ] || return 0
        fi
        if metadata spot/instance-action >/dev/null; then
            echo "EC2 takes this instance back; nothing new is begun here."
            touch "$drain"
            return 0
        fi
    done
}
metadata() {
    curl -sf --noproxy '*' -m 2 -H "X-aws-ec2-metadata-token: $token" "$service/meta-data/$1"
}
if [ "$number" = 1 ] && [ "${imds:-0}" = 1 ]; then watch_for_interruption & fi

# The engine's identity begins with its node's name, so that anyone can tell whose it is without
# asking an engine that is busy.
# A controller that is silent for 8 checks of 1.25 s has gone, without the end of a connection to
# tell: the engine ends, and is started again until there is one that answers.
exec "$env_python" -m ipyparallel.engine \
    --profile-dir="$profile" --file="$engine_file" \
    --Session.session="$(engine_identity "$alias" "$number")" --IPEngine.timeout=60 \
    --IPEngine.max_heartbeat_misses=8
