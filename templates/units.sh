# Services as units of systemd's. As root. Given: action=start, stop, status or retire, service,
# unit=TEXT, patience=SECONDS, runs=STATUS
# To retire one is to see that it does not come back, unless it runs: then this ends with that status.
# What earlier versions started may be several of one name, by their numbers: engine@1.
prefix=spotcluster-$service

units_there() { # enabled ones and those that run
    {
        systemctl list-units --all --plain --no-legend "$prefix.service" "$prefix@*.service"
        systemctl list-unit-files --plain --no-legend "$prefix.service"
        ls /etc/systemd/system/multi-user.target.wants 2>/dev/null |
            awk -v prefix="$prefix@" 'index($0, prefix) == 1'
    } | awk '$2 != "not-found" {print $1}' | sort -u
}
main_pid() { systemctl show --property=MainPID --value "$1"; }
is_known() { # as the file says, and to be started at the next boot
    [ -e "/etc/systemd/system/multi-user.target.wants/$1" ] || return
    [ "$(systemctl show --property=NeedDaemonReload --value "$1")" != yes ]
}
name_of() { # spotcluster-engine@1.service is engine@1
    name=${1#spotcluster-}
    echo "${name%.service}"
}

case $action in
start)
    file=/etc/systemd/system/$prefix.service
    if [ "$unit" != "$(cat "$file" 2>/dev/null)" ]; then
        printf '%s\n' "$unit" >"$file.new"
        mv "$file.new" "$file"
    fi
    # Which has systemd read the units of the whole machine again, too.
    is_known "$prefix.service" || systemctl enable --quiet "$prefix.service"
    systemctl reset-failed "$prefix.service" 2>/dev/null || true
    systemctl start "$prefix.service"
    ;;
stop)
    mapfile -t units < <(units_there)
    [ "${#units[@]}" -gt 0 ] || exit 0
    end=$(($(date +%s) + patience))
    while :; do
        running=()
        for one in "${units[@]}"; do
            [ "$(main_pid "$one")" = 0 ] || running+=("$one")
        done
        if [ "${#running[@]}" = 0 ] || [ "$(date +%s)" -ge "$end" ]; then break; fi
        sleep 0.1
    done
    systemctl disable --quiet "${units[@]}" 2>/dev/null || true
    systemctl stop "${units[@]}"
    for one in "${running[@]}"; do name_of "$one"; done
    ;;
status)
    mapfile -t units < <(units_there)
    for one in "${units[@]}"; do
        state=ended
        [ "$(main_pid "$one")" = 0 ] || state=running
        echo "$(name_of "$one") $state"
    done
    ;;
retire)
    mapfile -t units < <(units_there)
    for one in "${units[@]}"; do
        case $(systemctl show --property=ActiveState --value "$one") in
            inactive | failed) ;;
            *) exit "$runs" ;; # or is to be started again in a second
        esac
    done
    [ "${#units[@]}" = 0 ] || systemctl disable --quiet "${units[@]}"
    ;;
esac
