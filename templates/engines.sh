# Start the engines of a node that do not run yet, or that belong to an earlier controller.
# Given: alias=NAME engines=NUMBER controller=ID
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
    pid=
    of=
    [ ! -s "$file" ] || read -r pid of <"$file"
    if [ -n "$pid" ] && ps -o args= -p "$pid" 2>/dev/null | grep -q ipyparallel; then
        [ "$of" != "$controller" ] || continue
        kill -9 "$pid" 2>/dev/null || true # a new controller does not know it
    fi
    # The engine's identity begins with its node's name, so that anyone can tell whose it is
    # without asking an engine that is busy.
    nohup "$root/env/bin/python" -m ipyparallel.engine \
        --profile-dir="$profile" --file="$profile/security/ipcontroller-engine.json" \
        --Session.session="$alias.$number.$$-$RANDOM" --IPEngine.timeout=60 \
        >>"$root/logs/engine-$number.log" 2>&1 </dev/null &
    echo "$! $controller" >"$file.new"
    mv "$file.new" "$file"
done
