# Prepare a user's own folders. As that user. Given: master=1 or 0, aliases=FOLDER, keys=LINES,
# own=1 to make a key for the way to the other nodes.
umask 077
mkdir -p "$HOME/.spotcluster/logs" "$HOME/.ssh"
chmod 700 "$HOME/.spotcluster" "$HOME/.ssh"
touch "$HOME/.ssh/authorized_keys"
chmod 600 "$HOME/.ssh/authorized_keys"
while IFS= read -r key; do
    [ -z "$key" ] || grep -qxF "$key" "$HOME/.ssh/authorized_keys" ||
        printf '%s\n' "$key" >>"$HOME/.ssh/authorized_keys"
done <<<"$keys"
if [ "$master" = 1 ]; then
    mkdir -p "$HOME/.ssh/spotcluster"
    touch "$HOME/.ssh/config"
    [ -n "$aliases" ] || aliases=$HOME/.ssh/spotcluster # ssh expands ~ by the password file
    line="Include $aliases/*.conf"
    if ! grep -qxF "$line" "$HOME/.ssh/config"; then
        { printf '%s\n\n' "$line"; cat "$HOME/.ssh/config"; } >"$HOME/.ssh/config.new"
        mv "$HOME/.ssh/config.new" "$HOME/.ssh/config"
    fi
    if [ "$own" = 1 ] && [ ! -s "$HOME/.ssh/id_ed25519.pub" ]; then
        rm -f "$HOME/.ssh/id_ed25519"
        ssh-keygen -q -t ed25519 -N '' -C "$(id -un)@cluster" -f "$HOME/.ssh/id_ed25519"
    fi
fi
