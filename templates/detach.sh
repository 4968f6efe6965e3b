# Start a program that nobody waits for. Given: unit=NAME, account, home, command=(...), units=1 or 0
if [ "$units" = 1 ]; then
    # TERM goes to the program alone, which ends what it has started; KILL, later, to all of it.
    # A job of which one process takes too much memory is told so by its own status.
    systemd-run --quiet --collect --unit="$unit" --uid="$account" \
        --description="$unit" --working-directory="$home" \
        --property=KillMode=mixed --property=TimeoutStopSec=20 --property=OOMPolicy=continue \
        --property=NoNewPrivileges=yes --property=UMask=0077 \
        -- "${command[@]}"
else
    cd "$home"
    set -m # a group of its own: no signal for this session reaches it
    nohup "${command[@]}" </dev/null >/dev/null 2>&1 &
    disown
fi
