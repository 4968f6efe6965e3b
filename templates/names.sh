# Take the names of all nodes but some from the master. As root where $folder is in /etc.
# Given: folder, keep=(ALIASES)
is_kept() {
    local one
    for one in "${keep[@]}"; do [ "$one" != "$1" ] || return 0; done
    return 1
}
for file in "$folder"/*.conf; do
    alias=$(basename "$file" .conf)
    if [ -e "$file" ] && ! is_kept "$alias"; then
        rm -f "$file" "$folder/$alias.known_hosts"
    fi
done
case $folder in
/etc/*)
    # The lock of hosts.sh, which may run at the same time.
    exec 9>/etc/spotcluster/hosts.lock
    flock -w 30 9
    cp -p /etc/hosts /etc/hosts.spotcluster
    awk -v kept=" ${keep[*]} " '!(/# spotcluster$/ && !index(kept, " " $2 " "))' \
        /etc/hosts >/etc/hosts.spotcluster
    mv /etc/hosts.spotcluster /etc/hosts
    exec 9>&-
    ;;
esac
