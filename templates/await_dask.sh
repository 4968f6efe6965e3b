# Wait until dask's scheduler of this machine listens, or its workers are known to theirs.
# Given: service=dask-scheduler or dask-worker, number=OF-WORKERS, limit=SECONDS
. layout.sh
is_there() { # the files may be those of earlier ones
    if [ "$service" = dask-worker ]; then
        there=0
        for file in "$dask/workers"/*; do
            pid=$(cat "$file" 2>/dev/null) && kill -0 "$pid" 2>/dev/null && there=$((there + 1))
        done
        [ "$there" -ge "$number" ]
    else
        pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$dask/scheduler.json" 2>/dev/null)
        [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null
    fi
}
end=$((SECONDS + limit))
until is_there; do
    if [ "$SECONDS" -ge "$end" ]; then
        echo "$service was not ready within $limit s; its log says:" >&2
        tail -n 10 "$root/logs/$service.log" >&2
        exit 1
    fi
    sleep 0.1
done
