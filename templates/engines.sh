# Start the engines of a node that do not run yet. Given: alias=NAME engines=NUMBER
root=$HOME/.spotcluster
profile=$root/ipython
umask 077
mkdir -p "$profile/security" "$profile/pid" "$profile/log" "$root/logs" "$root/engines"
rm -f "$root/drain"
export SPOTCLUSTER_NODE=$alias SPOTCLUSTER_DRAIN_FLAG=$root/drain
# One engine is one core: more BLAS threads would fight for it.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1 \
    NUMEXPR_NUM_THREADS=1 BLIS_NUM_THREADS=1
cd "$HOME"
for number in $(seq "$engines"); do
    file=$root/engines/$number.pid
    pid=$(cat "$file" 2>/dev/null || true)
    if [ -n "$pid" ] && ps -o args= -p "$pid" 2>/dev/null | grep -q ipyparallel; then
        continue
    fi
    # The engine's identity begins with its node's name, so that anyone can tell whose it is
    # without asking an engine that is busy.
    nohup "$root/env/bin/python" -m ipyparallel.engine \
        --profile-dir="$profile" --file="$profile/security/ipcontroller-engine.json" \
        --Session.session="$alias.$number.$$-$RANDOM" --IPEngine.timeout=60 \
        >>"$root/logs/engine-$number.log" 2>&1 </dev/null &
    echo "$!" >"$file.new"
    mv "$file.new" "$file"
done
