# One machine, from power on to power off, in a mount namespace of its own.
# Given in the environment: id, host, place (its folder), image, disk (its root volume), netns,
# nspawn, groups (folders of its cgroups); arguments: more options for nspawn.
set -eu
for group in $groups; do
    echo $$ >"$group/cgroup.procs"
done
rm -f "$place/exit"
mkdir -p "$place/disk" "$place/root"
mount "$disk" "$place/disk"
mkdir -p "$place/disk/upper" "$place/disk/work"
# index and nfs_export: a folder of the machine can be exported by an NFS server in it.
mount -t overlay machine -o \
    "index=on,nfs_export=on,lowerdir=$image,upperdir=$place/disk/upper,workdir=$place/disk/work" \
    "$place/root"
mkdir -p /run/systemd
mount -t tmpfs -o mode=755 machine /run/systemd # what nspawn keeps there is this machine's
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup # the machine sees cgroup v2, as a current system does

status=133
while [ "$status" = 133 ]; do # what nspawn ends with when the machine reboots itself
    status=0
    "$nspawn" --quiet --boot --register=no --keep-unit \
        --directory="$place/root" --machine="$id" --hostname="$host" \
        --network-namespace-path="$netns" --link-journal=no --resolv-conf=off --timezone=off \
        --console=read-only "$@" </dev/null || status=$?
done
# 0: powered off from inside. Who is killed writes nothing.
echo "$status" >"$place/exit"
