#cloud-boothook
#!/bin/sh
# Ends this machine after @SECONDS@ s whatever else fails. Counted in sleeps, so that no clock counts;
# what is left is in a file, so that a reboot goes on with it, and autostop.py writes another there.
# A machine that is started when all is over has 15 minutes, in which it is told its new ceiling.
file=/var/lib/spotcluster/ceiling
mkdir -p "${file%/*}"
left=$(cat "$file" 2>/dev/null)
case $left in
"" | *[!0-9]*) left=@SECONDS@ ;;
*) [ "$left" -ge 900 ] || left=900 ;;
esac
echo "$left" >"$file"
count='
file=$1 last=$2 left=$2
said=$(cat "$file")
while :; do
    case $said in "$last" | "" | *[!0-9]*) ;; *) left=$said last=$said ;; esac
    [ "$left" -gt 0 ] || break
    step=$((left < 30 ? left : 30))
    sleep $step
    said=$(cat "$file")
    case $said in "$last" | "" | *[!0-9]*) ;; *) left=$said last=$said ;; esac
    left=$((left > step ? left - step : 0))
    # On a full disk it is counted here only.
    if echo "$left" >"$file.new" && mv "$file.new" "$file"; then last=$left; fi
    said=$last
done
while :; do
    systemctl poweroff --ignore-inhibitors || poweroff
    sleep 300
    systemctl poweroff --force --force || poweroff -f
    sleep 60
done
'
# At this time of the boot nothing may wait for a unit that waits for the system to be up.
if [ -d /run/systemd/system ]; then
    # A command of several lines is broken, and never started again, once systemd has read its units
    # again, as it does when a package with a service is installed. So this one is in a file.
    script=/run/spotcluster-ceiling
    if printf '%s' "$count" >"$script"; then set -- sh "$script"; else set -- sh -c "$count" sh; fi
    systemd-run --no-block --unit=spotcluster-ceiling --property=DefaultDependencies=no \
        --property=Conflicts=shutdown.target --property=Before=shutdown.target \
        --property=Restart=always --property=OOMScoreAdjust=-1000 \
        "$@" "$file" "$left"
else
    nohup sh -c "$count" sh "$file" "$left" >/dev/null 2>&1 </dev/null &
fi
