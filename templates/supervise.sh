# Keep one service running where no systemd does. Argument: the service. Its file beside us, run/NAME,
# holds our process and the service's.
. layout.sh
services=${0%/*}
service=$1
file=$services/run/$service
umask 077
set -m # the service is a group of processes, so that what it leaves behind can be ended
child=
stopping=
trap 'stopping=1; [ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null' TERM
pause=1
while [ -z "$stopping" ]; do
    began=$SECONDS
    bash "$services/$service" </dev/null &
    child=$!
    echo "$$ $child" >"$file.new"
    mv "$file.new" "$file"
    [ -z "$stopping" ] || kill -TERM -- "-$child" 2>/dev/null
    status=
    while [ -z "$status" ]; do # a signal ends `wait`, not the service
        wait "$child"
        status=$?
        if kill -0 "$child" 2>/dev/null; then status=; fi
    done
    kill -KILL -- "-$child" 2>/dev/null # what is left of it holds its ports
    child=
    [ "$status" != "$stay_ended" ] || break
    [ -z "$stopping" ] || break
    if [ $((SECONDS - began)) -ge 30 ]; then pause=1; fi
    sleep "$pause" &
    wait $!
    pause=$((pause < 16 ? pause * 2 : 30))
done
rm -f "$file"
