# Let `ssh ALIAS` work on the master. Given: alias, address, port, user, host_id, host_key
umask 077
folder=$HOME/.ssh/spotcluster
printf '%s %s\n' "$host_id" "$host_key" >"$folder/$alias.known_hosts.new"
mv "$folder/$alias.known_hosts.new" "$folder/$alias.known_hosts"
cat >"$folder/$alias.conf.new" <<CONF
Host $alias
    HostName $address
    Port $port
    User $user
    IdentityFile $HOME/.ssh/id_ed25519
    HostKeyAlias $host_id
    UserKnownHostsFile $folder/$alias.known_hosts
    StrictHostKeyChecking yes
CONF
mv "$folder/$alias.conf.new" "$folder/$alias.conf"
