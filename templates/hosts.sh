# Give a machine a name in /etc/hosts, or take it away (no address). As root. Given: alias, address,
# and for a machine's own line its hostname, which may be longer.
# Many nodes join at once, so one after the other; our lines are those that end with our name.
# The lock is where nobody but root writes: others could put a link in its place.
mkdir -p /etc/spotcluster
exec 9>/etc/spotcluster/hosts.lock
flock -w 30 9
cp -p /etc/hosts /etc/hosts.spotcluster # with its mode, and its label where there is SELinux
awk -v alias="$alias" '!(/# spotcluster$/ && $2 == alias)' /etc/hosts >/etc/hosts.spotcluster
if [ -n "$address" ]; then
    names=$alias
    [ "${hostname:-$alias}" = "$alias" ] || names="$alias $hostname"
    printf '%s %s # spotcluster\n' "$address" "$names" >>/etc/hosts.spotcluster
fi
mv /etc/hosts.spotcluster /etc/hosts
exec 9>&-
