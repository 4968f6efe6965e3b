# Make a freshly unpacked system an image: nothing of its own yet, everything from the metadata
# service at its first boot. Arguments: its root folder, the user it lets in, stages.py.
root=$1
user=$2
stages=$3

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
locale: false                # what there is, is set below
ssh_genkeytypes: [ecdsa, ed25519] # where none is given; RSA's takes as long as the boot
system_info:
  default_user:
    name: $user
    sudo: ["ALL=(ALL) NOPASSWD:ALL"]
    shell: /bin/bash
    groups: [adm, sudo]
    lock_passwd: true
CFG
rm -f "$root/etc/cloud/cloud.cfg.d/90_dpkg.cfg" # it lists the datasources of other clouds
printf 'LANG=C.UTF-8\n' >"$root/etc/default/locale"
# Nothing here is for these, and what there is for others, each stage reads a dozen times.
for module in apt-configure apt-pipelining byobu chef fan grub-dpkg landscape lxd mcollective puppet \
    refresh_rmc_and_interface reset_rmc rightscale_userdata rsyslog salt-minion snap ssh-import-id; do
    sed -i "/^ *- $module\$/d" "$root/etc/cloud/cloud.cfg"
done
sed -i '/^ *#/d; /^ *$/d' "$root"/etc/cloud/cloud.cfg "$root"/etc/cloud/cloud.cfg.d/*.cfg
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

# Each stage reads its settings a dozen times, in Python; libyaml reads the same ten times as fast.
python3 - "$root/usr/lib/python3/dist-packages/cloudinit/safeyaml.py" <<'PY'
import sys

path = sys.argv[1]
text = open(path).read()
head = "class _CustomSafeLoader(yaml.SafeLoader):"
assert text.count(head) == 1, "cloud-init reads YAML in another way now"
open(path, "w").write(text.replace(head, head.replace("yaml.", "yaml.C")))
PY

# Where cloud-init does not do all of its stages in one process by itself: see there.
if [ ! -e "$root/lib/systemd/system/cloud-init-main.service" ]; then
    cp "$stages" "$root/usr/lib/cloud-init/stages.py"
    for unit in cloud-init-local cloud-init cloud-config cloud-final; do
        command=$(sed -n 's,^ExecStart=/usr/bin/cloud-init ,,p' "$root/lib/systemd/system/$unit.service")
        mkdir -p "$root/etc/systemd/system/$unit.service.d"
        printf '[Service]\nExecStart=\nExecStart=/usr/bin/python3 -I /usr/lib/cloud-init/stages.py %s\n' \
            "$command" >"$root/etc/systemd/system/$unit.service.d/stages.conf"
    done
fi

# What Python would compile again at each start: the files that were changed above, and all of pip,
# which runs where it is packed in one file.
chroot "$root" python3 - <<'PY'
import glob
import py_compile
import tempfile
import zipfile

for name in ("safeyaml", "sources/DataSourceEc2"):
    py_compile.compile(f"/usr/lib/python3/dist-packages/cloudinit/{name}.py")
for wheel in glob.glob("/usr/share/python-wheels/pip-*.whl"):
    with zipfile.ZipFile(wheel) as packed:
        sources = [name for name in packed.namelist() if name.endswith(".py")]
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel, "a") as packed:
        for name in sources:
            compiled = py_compile.compile(
                packed.extract(name, folder),
                dfile=f"{wheel}/{name}",
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
            packed.write(compiled, f"{name}c")
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

# What would make units of what is not here, at each boot and each time that systemd reads its units.
mkdir -p "$root/etc/systemd/system-generators" "$root/etc/systemd/user-generators"
for name in cryptsetup debug getty gpt-auto hibernate-resume integritysetup rc-local run \
    system-update sysv veritysetup; do
    ln -s /dev/null "$root/etc/systemd/system-generators/systemd-$name-generator"
done
ln -s /dev/null "$root/etc/systemd/system-generators/rpc-pipefs-generator"
ln -s /dev/null "$root/etc/systemd/user-generators/systemd-xdg-autostart-generator"

sed -i 's/^#\?PasswordAuthentication.*/PasswordAuthentication no/; s/^#\?UseDNS.*/UseDNS no/' \
    "$root/etc/ssh/sshd_config"
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=persistent\nSystemMaxUse=16M\n' \
    >"$root/etc/systemd/journald.conf.d/machine.conf"

# Made now, so that its number does not depend on the other users that user data may ask for.
chroot "$root" useradd -m -u 1000 -s /bin/bash -G adm,sudo "$user"
