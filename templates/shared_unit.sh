# Mount what is shared, now and whenever the machine boots. As root. Given: service=NAME, script=SCRIPT
# A unit of ours and no line in fstab: it tries again until there is somebody to mount it from, and a
# machine that boots without never waits for it.
umask 022
mkdir -p /etc/spotcluster
printf '%s\n' "$script" >"/etc/spotcluster/$service.sh.new"
mv "/etc/spotcluster/$service.sh.new" "/etc/spotcluster/$service.sh"
file=/etc/systemd/system/spotcluster-$service.service
cat >"$file.new" <<UNIT
# Written by spotcluster; \`start\` writes it anew.
[Unit]
Description=spotcluster shared files ($service)
After=network-online.target spotcluster-volumes.service
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/bash /etc/spotcluster/$service.sh mount
ExecStop=/bin/bash /etc/spotcluster/$service.sh release
TimeoutStartSec=300
TimeoutStopSec=90
Restart=on-failure
RestartSec=15

[Install]
WantedBy=multi-user.target
UNIT
if ! cmp -s "$file.new" "$file"; then
    mv "$file.new" "$file"
    systemctl daemon-reload
fi
rm -f "$file.new"
bash "/etc/spotcluster/$service.sh" mount
systemctl enable --quiet "spotcluster-$service.service"
systemctl reset-failed "spotcluster-$service.service" 2>/dev/null || true
systemctl start "spotcluster-$service.service" # so that a shutdown lets go of it while there is a network
