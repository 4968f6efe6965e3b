# Mount what is shared, now and whenever the machine boots. As root. Given: service=NAME, script=SCRIPT
# A unit of ours and no line in fstab: it tries again until there is somebody to mount it from, and a
# machine that boots without never waits for it. What it runs then looks after it.
umask 022
mkdir -p /etc/spotcluster
own=/etc/spotcluster/$service.sh
file=/etc/systemd/system/spotcluster-$service.service
printf '%s\n' "$script" >"$own.new"
if ! cmp -s "$own.new" "$own"; then
    # By the old one, which knows what it mounted.
    [ ! -e "$file" ] || systemctl stop "spotcluster-$service.service"
    mv "$own.new" "$own"
fi
rm -f "$own.new"
cat >"$file.new" <<UNIT
# Written by spotcluster; \`start\` writes it anew.
[Unit]
Description=spotcluster shared files ($service)
After=network-online.target spotcluster-volumes.service
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStartPre=/bin/bash $own mount
ExecStart=/bin/bash $own watch
ExecStopPost=/bin/bash $own release
TimeoutStartSec=300
TimeoutStopSec=90
# Nothing that hangs with the server heeds another signal.
KillSignal=SIGKILL
SuccessExitStatus=SIGKILL
OOMScoreAdjust=-900
Restart=always
RestartSec=15

[Install]
WantedBy=multi-user.target
UNIT
mv "$file.new" "$file"
bash "$own" mount
systemctl enable --quiet "spotcluster-$service.service" # which has it read, too
systemctl reset-failed "spotcluster-$service.service" 2>/dev/null || true
systemctl start "spotcluster-$service.service" # so that a shutdown lets go of it while there is a network
