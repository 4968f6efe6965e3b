# Run a command as ssh would: by the login's own shell, in its home. It ends when who asked for it has
# gone, which the end of standard input says. Given: command, size=BYTES of input that it gets first
set +Eeu +o pipefail
source=/dev/null
if [ "$size" -gt 0 ]; then
    source=$(mktemp) || exit
    head -c "$size" >"$source"
fi
exec 86<&0 <"$source"
[ "$size" = 0 ] || rm -f "$source"
(
    while IFS= read -r _ <&86; do :; done
    kill -TERM 0 # the whole group: what guards the time limit, and all that was begun here
) >/dev/null 2>&1 &
watcher=$!
disown "$watcher"
exec 86<&- 85>&2 2>/dev/null # what bash itself says of a command that is killed is not its output
"${SHELL:-/bin/sh}" -c "$command" 2>&85 85>&-
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
