# One machine, from power on to power off. Given in the environment: place (its folder), groups (folders of
# its cgroups); arguments: its kernel, with what that is told.
set -eu
for group in $groups; do
    echo $$ >"$group/cgroup.procs"
done
rm -f "$place/exit"
while :; do
    status=0
    echo "power on"
    "$@" </dev/null || status=$?
    # What a kernel ends with says not whether it is to boot again.
    tail -n 5 "$place/console" | grep -q 'reboot: Restarting system' || break
done
# 0: powered off from inside. Who is killed writes nothing.
echo "$status" >"$place/exit"
