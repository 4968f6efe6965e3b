# Say how this machine does, which jobs run on it, and what searches there say of themselves.
read -r one five fifteen _ 2>/dev/null </proc/loadavg ||
    read -r one five fifteen _ <<<"$(sysctl -n vm.loadavg | tr -d '{}')"
load="$one $five $fifteen"
total=
free=
while read -r name number _; do # no program: it is asked often
    case $name in
        MemTotal:) total=$number ;;
        MemAvailable:) free=$number && break ;;
    esac
done 2>/dev/null </proc/meminfo || true
[ -n "$total" ] || total=$(($(sysctl -n hw.memsize) / 1024))
echo "cores=$(getconf _NPROCESSORS_ONLN)"
echo "load=$load"
echo "memory_total_kb=$total"
echo "memory_free_kb=$free"
echo "clock=$(date +%s)"
for folder in "$HOME/.spotcluster/services" /etc/spotcluster/services; do
    [ ! -s "$folder/autostop.state" ] || echo "autostop=$(cat "$folder/autostop.state")"
done
if [ -e "$HOME/.spotcluster/keeper/beat" ]; then
    beat=$(stat -c %Y "$HOME/.spotcluster/keeper/beat" 2>/dev/null || stat -f %m "$HOME/.spotcluster/keeper/beat")
    echo "keeper=$(($(date +%s) - beat))"
fi
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
read -r -d '' look <<'LOOK' || true
. layout.sh
if [ -e "$drain" ]; then echo "draining=1"; else echo "draining=0"; fi
if [ -s "$notices" ]; then sed "s/^/notice=/" "$notices"; fi
echo "packages=$(for one in "$env"/lib/python3*/site-packages/*.dist-info; do
    echo "${one##*/}"
done | cksum)"
if [ -d "$root/searches" ]; then
    find "$root/searches" -name "*.progress" ! -name ".*" -mmin -60 -exec cat {} +
fi
# A job that has begun and not ended runs as long as its process does; which one that is, its file
# says to whoever asked us.
unended=
for begun in "$root"/jobs/*/begun.json; do
    job=${begun%/begun.json}
    if [ ! -e "$begun" ] || [ -e "$job/end.json" ]; then continue; fi
    unended=1
    printf "job=%s\t%s\t%s\n" "${job##*/}" "$(cat "$begun")" "$(cat "$job/spec.json")"
done
if [ -n "$unended" ]; then
    echo "boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
    echo "processes=$(ps -U "$(id -u)" -o pid= | tr '\n' ' ')"
fi
LOOK
as_account "$look"
