# Say how this machine does, which jobs run on it, and what searches there say of themselves.
load=$(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null || sysctl -n vm.loadavg | tr -d '{}')
total=$(awk '/^MemTotal:/ {print $2}' /proc/meminfo 2>/dev/null || true)
free=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo 2>/dev/null || true)
[ -n "$total" ] || total=$(($(sysctl -n hw.memsize) / 1024))
echo "cores=$(getconf _NPROCESSORS_ONLN)"
echo "load=$load"
echo "memory_total_kb=$total"
echo "memory_free_kb=$free"
echo "clock=$(date +%s)"
# The cluster user's folder is for that user only.
account=
if [ -s /etc/spotcluster/account ]; then account=$(cat /etc/spotcluster/account); fi
as_account() {
    if [ -n "$account" ] && [ "$account" != "$(id -un)" ]; then
        sudo -n -H -u "$account" bash -c "$1"
    else
        bash -c "$1"
    fi
}
# shellcheck disable=SC2016 # $HOME is the account's
as_account 'root=$HOME/.spotcluster
if [ -e "$root/drain" ]; then echo "draining=1"; else echo "draining=0"; fi
if [ -d "$root/searches" ]; then
    find "$root/searches" -name "*.progress" ! -name ".*" -mmin -60 -exec cat {} +
fi
# A job that has begun and not ended runs as long as its process does; see job.py.
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || true)
for begun in "$root"/jobs/*/begun.json; do
    job=${begun%/begun.json}
    if [ ! -e "$begun" ] || [ -e "$job/end.json" ]; then continue; fi
    pid=$(sed -n "s/.*\"pid\": \([0-9][0-9]*\).*/\1/p" "$begun")
    if [ -n "$pid" ] && grep -qF "\"boot\": \"$boot\"" "$begun" && kill -0 "$pid" 2>/dev/null; then
        printf "job=%s\t%s\t%s\n" "${job##*/}" "$(cat "$begun")" "$(cat "$job/spec.json")"
    fi
done'
