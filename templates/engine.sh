# An engine, as a service. Given before it: alias=NAME; argument: its number on this node
umask 077
number=$1
root=$HOME/.spotcluster
profile=$root/ipython
[ ! -e "$root/drain" ] || exit 78 # its node is leaving: it is not to be started again
mkdir -p "$profile/pid" "$profile/log" "$profile/startup" "$root/logs"
: >>"$profile/startup/README" # IPython would copy its own, with its mode
exec >>"$root/logs/engine-$number.log" 2>&1
export SPOTCLUSTER_NODE=$alias SPOTCLUSTER_DRAIN_FLAG=$root/drain
# One engine is one core: more BLAS threads would fight for it.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1 \
    NUMEXPR_NUM_THREADS=1 BLIS_NUM_THREADS=1
cd "$HOME" || exit 1
# The engine's identity begins with its node's name, so that anyone can tell whose it is without
# asking an engine that is busy.
# A controller that is silent for 8 checks of 1.25 s has gone, without the end of a connection to
# tell: the engine ends, and is started again until there is one that answers.
exec "$root/env/bin/python" -m ipyparallel.engine \
    --profile-dir="$profile" --file="$profile/security/ipcontroller-engine.json" \
    --Session.session="$alias.$number.$$-$RANDOM" --IPEngine.timeout=60 \
    --IPEngine.max_heartbeat_misses=8
