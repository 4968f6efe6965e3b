# Make the node's own folder, and say what this machine has. Given: master=1 or 0
umask 077
mkdir -p "$HOME/.spotcluster/logs" "$HOME/.ssh"
chmod 700 "$HOME/.spotcluster" "$HOME/.ssh"
if [ "$master" = 1 ]; then
    mkdir -p "$HOME/.ssh/spotcluster"
    touch "$HOME/.ssh/config"
    line="Include $HOME/.ssh/spotcluster/*.conf" # ssh expands ~ by the password file, not by $HOME
    if ! grep -qxF "$line" "$HOME/.ssh/config"; then
        { printf '%s\n\n' "$line"; cat "$HOME/.ssh/config"; } >"$HOME/.ssh/config.new"
        mv "$HOME/.ssh/config.new" "$HOME/.ssh/config"
    fi
fi
yes_no() { if "$@" >/dev/null 2>&1; then echo 1; else echo 0; fi; }
memory_kb=$(awk '/^MemTotal:/ {print $2}' /proc/meminfo 2>/dev/null || true)
[ -n "$memory_kb" ] || memory_kb=$(($(sysctl -n hw.memsize) / 1024))
manager=
for one in apt-get dnf yum; do
    if command -v "$one" >/dev/null; then
        manager=$one
        break
    fi
done
echo "cores=$(getconf _NPROCESSORS_ONLN)"
echo "memory_mb=$((memory_kb / 1024))"
echo "sudo=$(yes_no sudo -n true)"
echo "systemd=$(yes_no test -d /run/systemd/system)"
echo "package_manager=$manager"
echo "python=$(python3 -c 'import platform; print(platform.python_version())' 2>/dev/null || true)"
echo "home=$HOME"
echo "cluster_key=$(cat "$HOME/.ssh/id_ed25519.pub" 2>/dev/null || true)"
