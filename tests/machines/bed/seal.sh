# Make a freshly unpacked system an image: nothing of its own yet, everything from the metadata
# service at its first boot. Arguments: its root folder, the user it lets in.
root=$1
user=$2

# Own to each machine, made at its first boot.
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname" "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
: >"$root/etc/resolv.conf"
rm -rf "$root"/dev/*
rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*

cat >"$root/etc/cloud/cloud.cfg.d/95_machine.cfg" <<CFG
datasource_list: [ Ec2 ]
datasource:
  Ec2:
    metadata_urls: [ "http://169.254.169.254:80" ]
    max_wait: 30
    timeout: 5
    strict_id: false
network: {config: disabled}  # addresses are set from outside
locale: C.UTF-8              # any other is not in the image, and cloud-init then ends in an error
apt: {preserve_sources_list: true}
system_info:
  default_user:
    name: $user
    sudo: ["ALL=(ALL) NOPASSWD:ALL"]
    shell: /bin/bash
    groups: [adm, sudo]
    lock_passwd: true
CFG
rm -f "$root/etc/cloud/cloud.cfg.d/90_dpkg.cfg" # it lists the datasources of other clouds
echo 'policy: enabled' >"$root/etc/cloud/ds-identify.cfg"

# cloud-init does not look at the DMI in a container, so it cannot see that this is EC2, and would
# then not ask for IMDSv2's tokens.
python3 - "$root/usr/lib/python3/dist-packages/cloudinit/sources/DataSourceEc2.py" <<'PY'
import sys

path = sys.argv[1]
text = open(path).read()
head = "def identify_aws(data):\n"
assert text.count(head) == 1, "cloud-init tells clouds apart in another way now"
open(path, "w").write(text.replace(head, head + "    return CloudNames.AWS\n"))
PY

# Without it cloud-init waits 40 s for a lease that nobody gives.
rm -f "$root/sbin/dhclient" "$root/usr/sbin/dhclient"

# What has no sense or no kernel here. A failed unit would make the whole system "degraded".
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
    e2scrub_all.timer e2scrub_reap.service getty.target console-getty.service \
    sys-kernel-debug.mount sys-kernel-tracing.mount systemd-firstboot.service \
    run-rpc_pipefs.mount rpc-gssd.service rpc-svcgssd.service nftables.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

sed -i 's/^#\?PasswordAuthentication.*/PasswordAuthentication no/; s/^#\?UseDNS.*/UseDNS no/' \
    "$root/etc/ssh/sshd_config"
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=persistent\nSystemMaxUse=16M\n' \
    >"$root/etc/systemd/journald.conf.d/machine.conf"

# Made now, so that its number does not depend on the other users that user data may ask for.
chroot "$root" useradd -m -u 1000 -s /bin/bash -G adm,sudo "$user"
