# Make a copy of the bed's image one for a kernel of its own. Arguments: its root folder, the kernel's modules
root=$1
modules=$2

cp -r "$modules"/. "$root/lib/modules/"
for version in "$modules"/*; do chroot "$root" depmod "${version##*/}"; done

# Its address is given on the kernel's command line, as EC2 gives it by DHCP.
cat >"$root/usr/local/sbin/give-address" <<'SH'
#!/bin/bash
ip link set lo up
for word in $(cat /proc/cmdline); do
    case $word in
    lab.address=*) address=${word#*=} ;;
    lab.gateway=*) gateway=${word#*=} ;;
    esac
done
ip address add "$address/16" dev vec0
ip link set vec0 up
ip route add default via "$gateway"
SH
chmod 755 "$root/usr/local/sbin/give-address"
cat >"$root/etc/systemd/system/give-address.service" <<'UNIT'
[Unit]
DefaultDependencies=no
Before=network-pre.target network.target network-online.target cloud-init-local.service
Wants=network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/give-address
[Install]
WantedBy=sysinit.target
UNIT
chroot "$root" systemctl -q enable give-address.service

# EC2's power button.
ln -sf /lib/systemd/system/poweroff.target "$root/etc/systemd/system/ctrl-alt-del.target"
# Volumes have the names that EC2 gives them: those of this kernel differ by three letters.
for letter in b c d e f g h i j k l m n o p; do
    echo "L /dev/sd$letter - - - - ubd$letter"
done >"$root/etc/tmpfiles.d/volumes.conf"

# What the image leaves out as containers cannot have it, and what costs a boot and is not looked at.
rm -f "$root/etc/systemd/system/run-rpc_pipefs.mount"
for unit in systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
    systemd-udev-trigger.service systemd-udev-settle.service systemd-binfmt.service \
    systemd-timesyncd.service dev-mqueue.mount dev-hugepages.mount; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
# As an image has it in which nobody has configured anything: the plugin starts what it needs.
chroot "$root" systemctl -q disable nfs-server.service nfs-client.target
