# Wait until Ray of this machine is part of its cluster. Given: limit=SECONDS
. layout.sh
end=$((SECONDS + limit))
is_there() { # the file may be an earlier one's
    pid=$(cat "$ray/ready" 2>/dev/null) && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null
}
until is_there; do
    if [ "$SECONDS" -ge "$end" ]; then
        echo "Ray was not ready within $limit s; its log says:" >&2
        tail -n 20 "$root/logs/ray.log" >&2
        exit 1
    fi
    sleep 0.1
done
