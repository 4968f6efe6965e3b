# See that a machine can serve, or mount, NFS. As root. Given: side=server or client, manager, lacking=STATUS
# The kernel comes first: where it cannot, nothing is changed.
case $side in
server) module=nfsd kind=nfsd program=exportfs packages=(nfs-kernel-server) ;;
client) module=nfsv4 kind=nfs4 program=mount.nfs4 packages=(nfs-common) ;;
esac
[ "$manager" = apt-get ] || packages=(nfs-utils)
PATH=$PATH:/usr/sbin:/sbin
modprobe "$module" 2>/dev/null || true # it may be built in
if ! grep -qw "$kind" /proc/filesystems; then
    uname -r
    exit "$lacking"
fi

# Version 4 over TCP: one port, 2049, and none of the services that the package, or its server, would
# start for others; what runs already the image has for others. Before the package comes, which starts
# its server at once. What a node that was lost has opened is free again after the lease.
umask 022
# (Read with the unit that is enabled next: to read all units takes as long as the rest.)
mask() { systemctl is-active --quiet "$@" || systemctl mask --quiet --no-reload "$@"; }
mask rpc-statd.service
mask rpcbind.socket rpcbind.service
if [ "$side" = server ]; then
    mkdir -p /etc/nfs.conf.d /etc/exports.d
    file=/etc/nfs.conf.d/spotcluster.conf
    cat >"$file.new" <<'CONF'
# Written by spotcluster; `start` writes it anew.
[nfsd]
threads=16
udp=n
tcp=y
vers2=n
vers3=n
vers4=y
vers4.0=n
vers4.1=y
vers4.2=y
lease-time=30
grace-time=30
CONF
    if ! cmp -s "$file.new" "$file"; then
        mv "$file.new" "$file"
        if systemctl is-active --quiet nfs-server.service; then systemctl stop nfs-server.service; fi
    fi
    rm -f "$file.new"
fi
if ! command -v "$program" >/dev/null; then
    case $manager in
    apt-get)
        export DEBIAN_FRONTEND=noninteractive
        options=(-q -y -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold)
        install() { apt-get "${options[@]}" --no-install-recommends install "${packages[@]}"; }
        install || { apt-get "${options[@]}" update && install; }
        ;;
    *) "$manager" install -q -y "${packages[@]}" ;;
    esac >&2
fi
