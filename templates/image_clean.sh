# Take away from a copy of a node what is the cluster's, or somebody's, and look whether it is gone.
# As root where the machine lets us; else as the login, whose home is all that it has. Never on a node.
# Given: whole=1 for root, or 0. Prints files in which a secret is left, and then "clean".
. layout.sh
shopt -s nullglob dotglob
homes=("$HOME")
if [ "$whole" = 1 ]; then
    homes=(/root)
    while IFS=: read -r _ _ number _ _ home _; do
        [ "$number" -lt 1000 ] || [ ! -d "$home" ] || [ "$home" = / ] || homes+=("$home")
    done < <(getent passwd)
fi

# What must not be found afterwards. It stays in memory, and is on no command line.
secrets=
note() { # lines
    local line
    while IFS= read -r line || [ -n "$line" ]; do [ "${#line}" -lt 16 ] || secrets+=$line$'\n'; done
}
keys_in() { # files: of a private key the lines that no public half and no other key has
    local file
    for file in "$@"; do
        ! grep -qs 'PRIVATE KEY' "$file" || grep -v -e '-----' "$file" | tail -n +3
    done
}
for home in "${homes[@]}"; do
    own=$home${root#"$HOME"}
    note < <(keys_in "$home"/.ssh/*)
    note < <(find "$own" -name '*.json' -path '*/security/*' -exec grep -ohE '"[a-z_]*key": *"[^"]+"' {} + \
        2>/dev/null | sed 's/.*: *"//; s/"$//')
    note < <(find "$own" -path "$own/env" -prune -o -path "$own/uv" -prune -o \
        -type f \( -name '*token*' -o -name '*password*' -o -path '*/security/curve*' \) -size -8 -exec awk 1 {} + 2>/dev/null)
    # dask's; after the key is a certificate, which is no secret.
    note < <(find "$own" -path "$own/env" -prune -o -path "$own/uv" -prune -o -type f -name '*.pem' \
        -exec sed -n '/BEGIN PRIVATE KEY/,/END PRIVATE KEY/{/-----/!p;}' {} + 2>/dev/null)
done
if [ "$whole" = 1 ]; then note < <(keys_in /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.*); fi

# Written over first, as to unlink a file leaves on the disk what was in it. But for what has other
# names: such files are packages, and those names may be elsewhere.
wipe() { # files and folders
    [ "$#" -gt 0 ] || return 0
    if command -v shred >/dev/null; then
        find "$@" -xdev -type f -links 1 -size -2048 -exec shred -n 1 -- {} + 2>/dev/null || true
    fi
    rm -rf -- "$@"
}
for home in "${homes[@]}"; do
    own=$home${root#"$HOME"}
    for one in "$own"/*; do # whatever it is: only what was installed is to stay
        case $one in "$own/env" | "$own/uv" | "$own/constraints.txt") ;; *) wipe "$one" ;; esac
    done
    wipe "$home"/.ssh "$home"/.*history* "$home"/.*_hist "$home"/.ipython/profile_*/{history.sqlite*,security,pid,log} \
        "$home"/.ipython/nbsignatures* "$home"/.jupyter "$home"/.local/share/{jupyter/runtime,keyrings} \
        "$home"/.{aws,azure,kube,docker,gnupg,netrc,git-credentials,pypirc,kaggle,pgpass,my.cnf,vault-token} \
        "$home"/.{viminfo,lesshst,wget-hsts,Xauthority,cache} \
        "$home"/.config/{gcloud,gh,git/credentials,rclone}
done
if [ "$whole" = 0 ]; then
    wipe "${TMPDIR:-/nowhere}"/*
else
    if [ -e /etc/exports.d/spotcluster.exports ]; then
        wipe /etc/exports.d/spotcluster.exports /etc/nfs.conf.d/spotcluster.conf /var/lib/nfs/nfsdcld
        systemctl disable --quiet nfs-server.service
    fi
    wipe /etc/spotcluster /var/lib/spotcluster /etc/systemd/system/spotcluster-* \
        /etc/systemd/system/*.wants/spotcluster-* /etc/cloud/cloud.cfg.d/99_spotcluster.cfg \
        /etc/sudoers.d/spotcluster-users
    wipe /etc/ssh/ssh_host_*
    for one in /var/lib/cloud/*; do [ "$one" = /var/lib/cloud/seed ] || wipe "$one"; done
    wipe /var/lib/dhcp/* /var/lib/dhclient/* /var/lib/systemd/{random-seed,credential.secret} \
        /var/lib/NetworkManager/*lease* /var/tmp/* /var/log/journal/*
    find /var/log -type f -exec truncate -s 0 {} +
    find /tmp -mindepth 1 -maxdepth 1 ! -name '.*-unix' -exec rm -rf {} +
    awk '!/# spotcluster$/' /etc/hosts >/etc/hosts.spotcluster
    mv /etc/hosts.spotcluster /etc/hosts
    : >/etc/machine-id
    [ -L /var/lib/dbus/machine-id ] || rm -f /var/lib/dbus/machine-id
    # What the node had deleted before is still on the disk that this is a copy of. Only where that
    # disk is one of the machine's own: a layer over somebody else's would fill that one.
    case $(findmnt -n -o SOURCE,FSTYPE / 2>/dev/null) in
        /dev/*ext4 | /dev/*xfs)
            dd if=/dev/zero of=/spotcluster.zero bs=4M 2>/dev/null || true
            sync
            rm -f /spotcluster.zero
            ;;
    esac
fi

places=("${homes[@]}")
[ "$whole" = 0 ] || places+=(/etc /var /opt /srv /usr/local /tmp)
if [ -n "$secrets" ]; then
    # A grep that cannot look finds nothing either.
    if ! printf %s "${secrets%%$'\n'*}" | grep -qF -f /dev/fd/3 3< <(printf %s "$secrets"); then
        echo "grep cannot look for secrets here" >&2
        exit 1
    fi
    grep -rlsF -f /dev/fd/3 --devices=skip -- "${places[@]}" 3< <(printf %s "$secrets") || true
fi
sync
echo clean
