# Give machines names in /etc/hosts, or take them away (an empty address). As root. Given: aliases,
# addresses, and for a machine's own line its hostname, which may be longer.
# Many nodes join at once, so one after the other; our lines are those that end with our name.
# The lock is where nobody but root writes: others could put a link in its place.
mkdir -p /etc/spotcluster
exec 9>/etc/spotcluster/hosts.lock
flock -w 30 9
cp -p /etc/hosts /etc/hosts.spotcluster # with its mode, and its label where there is SELinux
awk -v given=" ${aliases[*]} " '!(/# spotcluster$/ && index(given, " " $2 " "))' \
    /etc/hosts >/etc/hosts.spotcluster
for i in "${!aliases[@]}"; do
    [ -n "${addresses[i]}" ] || continue
    names=${aliases[i]}
    [ "${hostname:-$names}" = "$names" ] || names="$names $hostname"
    printf '%s %s # spotcluster\n' "${addresses[i]}" "$names"
done >>/etc/hosts.spotcluster
mv /etc/hosts.spotcluster /etc/hosts
exec 9>&-
