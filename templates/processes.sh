# Services as processes under supervise.sh. Given: action=start, stop, status or retire, service,
# patience=SECONDS, stopping=SECONDS, runs=STATUS, services=FOLDER
# To retire one is to see that it does not come back, unless it runs: then this ends with that status.
# What earlier versions started may be several of one name, by their numbers: engine@1.
umask 077
mkdir -p "$services/run"

supervised() { # whether the process $1 is a supervisor
    [ -n "$1" ] || return 1
    if [ -e /proc/self/cmdline ]; then # without a program for each look
        [ -e "/proc/$1/cmdline" ] || return 1
        while IFS= read -r -d '' word; do
            case $word in */services/supervise) return 0 ;; esac
        done 2>/dev/null <"/proc/$1/cmdline"
        return 1
    fi
    ps -ww -o args= -p "$1" 2>/dev/null | grep -q '/services/supervise '
}
read_file() { # the supervisor and the service of a file
    supervisor=
    child=
    if [ -s "$1" ]; then read -r supervisor child <"$1" || true; fi
}

files=()
for file in "$services/run/$service" "$services/run/$service@"*; do
    case $file in *.new) continue ;; esac
    [ ! -s "$file" ] || files+=("$file")
done

case $action in
start)
    read_file "$services/run/$service"
    if ! supervised "$supervisor"; then
        nohup bash "$services/supervise" "$service" >/dev/null 2>&1 </dev/null &
    fi
    ;;
stop)
    now=$(date +%s)
    told=()
    for file in ${files[@]+"${files[@]}"}; do
        while read_file "$file" && supervised "$supervisor"; do
            [ "$(date +%s)" -lt $((now + patience)) ] || { told+=("$file") && break; }
            sleep 0.1
        done
    done
    for file in ${told[@]+"${told[@]}"}; do
        read_file "$file"
        kill -TERM "$supervisor" 2>/dev/null || true
    done
    now=$(date +%s)
    for file in ${told[@]+"${told[@]}"}; do
        while read_file "$file" && supervised "$supervisor"; do
            if [ "$(date +%s)" -ge $((now + stopping)) ]; then
                kill -KILL "$supervisor" 2>/dev/null || true
                kill -KILL -- "-$child" 2>/dev/null || true
                break
            fi
            sleep 0.1
        done
        echo "${file##*/}"
    done
    for file in ${files[@]+"${files[@]}"}; do rm -f "$file"; done
    ;;
status)
    for file in ${files[@]+"${files[@]}"}; do
        read_file "$file"
        state=ended
        if supervised "$supervisor" && [ -n "$child" ] && kill -0 "$child" 2>/dev/null; then
            state=running
        fi
        echo "${file##*/} $state"
    done
    ;;
retire)
    for file in ${files[@]+"${files[@]}"}; do
        read_file "$file"
        if supervised "$supervisor"; then exit "$runs"; fi
    done
    for file in ${files[@]+"${files[@]}"}; do rm -f "$file"; done
    ;;
esac
