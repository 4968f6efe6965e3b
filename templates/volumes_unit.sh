# Have volumes mounted whenever the machine boots. As root. Given: boot=SCRIPT, has_units=1 or 0.
# A unit of ours and no line in fstab: it finds the disk as we do, by the volume's id.
if [ "$has_units" = 1 ]; then
    umask 022
    mkdir -p /etc/spotcluster
    printf '%s\n' "$boot" >/etc/spotcluster/volumes.sh.new
    mv /etc/spotcluster/volumes.sh.new /etc/spotcluster/volumes.sh
    file=/etc/systemd/system/spotcluster-volumes.service
    cat >"$file.new" <<'UNIT'
# Written by spotcluster; `start` writes it anew.
[Unit]
Description=spotcluster volumes
DefaultDependencies=no
# Before everything that may use them, and never for so long that nobody can log in.
After=local-fs.target systemd-udevd.service
Before=basic.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/bash /etc/spotcluster/volumes.sh
TimeoutStartSec=120

[Install]
WantedBy=basic.target
UNIT
    mv "$file.new" "$file"
    systemctl enable --quiet spotcluster-volumes.service # which has it read, too
fi
