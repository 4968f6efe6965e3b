# A node's engines, as a service. Given before it: alias=NAME
umask 077
. layout.sh
profile=$ipython
[ ! -e "$drain" ] || exit "$stay_ended" # its node is leaving: they are not to be started again
mkdir -p "$profile/pid" "$profile/log" "$profile/startup" "$root/logs"
: >>"$profile/startup/README" # IPython would copy its own, with its mode
exec >>"$root/logs/engines.log" 2>&1
export SPOTCLUSTER_NODE=$alias SPOTCLUSTER_DRAIN_FLAG=$drain
# One engine is one core: more BLAS threads would fight for it.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1 \
    NUMEXPR_NUM_THREADS=1 BLIS_NUM_THREADS=1
export VIRTUAL_ENV=$env PATH=${env_python%/*}:$PATH # for what they start: pip, first of all
cd "$HOME" || exit 1

# A controller that is silent for 8 checks of 1.25 s has gone, without the end of a connection to
# tell: the engine ends, and is started again until there is one that answers.
exec "$env_python" "$services/engines.py" "$engines" "$root/logs" \
    --profile-dir="$profile" --file="$engine_file" --IPEngine.timeout=60 \
    --IPEngine.max_heartbeat_misses=8
