# Wait until the engines of this node have ended, and end them when that takes too long.
# Given: seconds=LIMIT
root=$HOME/.spotcluster
limit=$(($(date +%s) + seconds))
for file in "$root"/engines/*.pid; do
    [ -e "$file" ] || continue
    read -r pid _ <"$file"
    while ps -o args= -p "$pid" 2>/dev/null | grep -q ipyparallel; do
        if [ "$(date +%s)" -ge "$limit" ]; then
            kill -9 "$pid" 2>/dev/null || true
            echo "$pid"
            break
        fi
        sleep 0.1
    done
    rm -f "$file"
done
