# Call the machine by its node's name. As root. Given: hostname
if [ "$(cat /etc/hostname 2>/dev/null)" != "$hostname" ]; then
    printf '%s\n' "$hostname" >/etc/hostname.new
    chmod 644 /etc/hostname.new
    mv /etc/hostname.new /etc/hostname
fi
[ "$(uname -n)" = "$hostname" ] || hostname "$hostname"
