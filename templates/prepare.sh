# Say what this machine has.
yes_no() { if "$@" >/dev/null 2>&1; then echo 1; else echo 0; fi; }
memory_kb=
while read -r name number _; do # no program: it is asked often
    if [ "$name" = MemTotal: ]; then memory_kb=$number && break; fi
done 2>/dev/null </proc/meminfo || true
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
sudo=$(yes_no sudo -n true)
account=
account_home=
account_key=
if [ "$sudo" = 1 ] && [ -s /etc/spotcluster/account ]; then
    account=$(cat /etc/spotcluster/account)
    account_home=$(getent passwd "$account" | cut -d : -f 6)
    # As that user, and one line: what is there is the user's to choose, and must neither show a
    # file that only root may read nor say something else of the machine.
    account_key=$(sudo -n -u "$account" head -n 1 -- "$account_home/.ssh/id_ed25519.pub" \
        2>/dev/null || true)
fi
echo "sudo=$sudo"
echo "account=$account"
echo "account_home=$account_home"
echo "account_key=$account_key"
echo "systemd=$(yes_no test -d /run/systemd/system)"
echo "package_manager=$manager"
# Without its site: what has been installed into it may take longer to start than it does itself.
echo "python=$(python3 -I -S -c 'import sys; print(sys.version.split()[0])' 2>/dev/null || true)"
echo "tmux=$(yes_no command -v tmux)"
echo "home=$HOME"
echo "cluster_key=$(cat "$HOME/.ssh/id_ed25519.pub" 2>/dev/null || true)"
