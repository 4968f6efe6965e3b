# Let `ssh ALIAS` work on the master for everybody who reads $folder, or no longer (an empty address).
# Given: folder, mode, aliases, addresses; and where these are not empty ports, users, host_ids,
# host_keys, and login
umask 077
mkdir -p "$folder"
for i in "${!aliases[@]}"; do
    alias=${aliases[i]}
    if [ -z "${addresses[i]}" ]; then
        rm -f "$folder/$alias.conf" "$folder/$alias.known_hosts"
        continue
    fi
    printf '%s %s\n' "${host_ids[i]}" "${host_keys[i]}" >"$folder/$alias.known_hosts.new"
    # The master's login is let in as the node's login, everybody else as who they are.
    cat >"$folder/$alias.conf.new" <<CONF
Match originalhost $alias localuser $login
    User ${users[i]}
Match originalhost $alias
    HostName ${addresses[i]}
    Port ${ports[i]}
    HostKeyAlias ${host_ids[i]}
    UserKnownHostsFile "$folder/$alias.known_hosts"
    StrictHostKeyChecking yes
Match all
CONF
    chmod "$mode" "$folder/$alias.known_hosts.new" "$folder/$alias.conf.new"
    mv "$folder/$alias.known_hosts.new" "$folder/$alias.known_hosts"
    mv "$folder/$alias.conf.new" "$folder/$alias.conf"
done
