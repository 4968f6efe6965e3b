# One machine, from power on to power off. Given in the environment: place (its folder), groups (folders of
# its cgroups); arguments: its kernel, with what that is told.
set -eu
for group in $groups; do
    echo $$ >"$group/cgroup.procs"
done
rm -f "$place/exit"
status=0
"$@" </dev/null || status=$?
# 0: powered off from inside. Who is killed writes nothing.
echo "$status" >"$place/exit"
