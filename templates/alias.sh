# Let `ssh ALIAS` work on the master for everybody who reads $folder, or no longer (no host_key).
# Given: alias, address, port, login, user, host_id, host_key, folder, mode
umask 077
if [ -n "$host_key" ]; then
    mkdir -p "$folder"
    printf '%s %s\n' "$host_id" "$host_key" >"$folder/$alias.known_hosts.new"
    # The master's login is let in as the node's login, everybody else as who they are.
    cat >"$folder/$alias.conf.new" <<CONF
Match originalhost $alias localuser $login
    User $user
Match originalhost $alias
    HostName $address
    Port $port
    HostKeyAlias $host_id
    UserKnownHostsFile "$folder/$alias.known_hosts"
    StrictHostKeyChecking yes
Match all
CONF
    chmod "$mode" "$folder/$alias.known_hosts.new" "$folder/$alias.conf.new"
    mv "$folder/$alias.known_hosts.new" "$folder/$alias.known_hosts"
    mv "$folder/$alias.conf.new" "$folder/$alias.conf"
else
    rm -f "$folder/$alias.conf" "$folder/$alias.known_hosts"
fi
