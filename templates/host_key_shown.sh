# See that sshd shows the host key that it is to have to whoever connects now. As the login, over the
# connection that sshd let in. Given: own=KEY
# Says "unchecked" where the machine has nothing to look with: then the caller connects anew.
read -r _ _ address port <<<"${SSH_CONNECTION:-}"
if [ -z "${port:-}" ] || ! command -v ssh-keyscan >/dev/null; then
    echo unchecked
    exit
fi
shown=nothing
for _ in $(seq 100); do # it is reloading
    shown=$(ssh-keyscan -T 5 -t ed25519 -p "$port" "$address" 2>/dev/null |
        awk '!/^#/ {print $2, $3; exit}' || true)
    [ "$shown" != "$own" ] || exit 0
    sleep 0.2
done
echo "sshd shows ${shown:-nothing} instead of $own" >&2
exit 1
