# Call the machine by its node's name. As root. Given: alias
if [ "$(cat /etc/hostname 2>/dev/null)" != "$alias" ]; then
    printf '%s\n' "$alias" >/etc/hostname.new
    chmod 644 /etc/hostname.new
    mv /etc/hostname.new /etc/hostname
fi
[ "$(uname -n)" = "$alias" ] || hostname "$alias"
