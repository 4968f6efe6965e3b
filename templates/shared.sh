# Mount what nodes share, or let go of it. As root, and as often as anybody likes; the argument says
# which: mount, release, or check, which lets go of it where nobody serves it. Given: service=NAME; account and home=FOLDER of whoever's home is among the
# paths, and nothing where it is not; uid=NUMBER that the account has to have; own_names=what stays the
# node's own in that home; owner=NAME of whose a new file system becomes; and an item for each mount in
# paths, kinds, sources, options, and servers, where a name says which machine it has to be.
set -euo pipefail
own=/run/spotcluster/home # the node's own home, while the shared one is in its place

on() { # what is mounted on $1 last: type, source, options. From the kernel: the server may not answer
    awk -v path="$1" '$5 == path { i = 7; while ($i != "-") i++; found = $(i + 1) " " $(i + 2) " " $(i + 3) }
        END { print found }' /proc/self/mountinfo
}

let_go() { # of $1, whoever uses it: what is open goes on, and waits for nobody who is gone
    [ -z "$(on "$1")" ] || timeout -k 1 15 umount "$1" 2>/dev/null || umount -f -l "$1" 2>/dev/null ||
        umount -l "$1" || true
}

release() {
    local i name
    if [ -n "$home" ]; then
        for name in "${own_names[@]}"; do let_go "$home/$name"; done
    fi
    for ((i = ${#paths[@]} - 1; i >= 0; i--)); do let_go "${paths[i]}"; done
    [ -z "$home" ] || let_go "$own"
}

is_right() { # whether number $1 is mounted from the machine that has the server's name now, and answers
    local type source given address
    read -r type source given <<<"$(on "${paths[$1]}")"
    [ "$type" = nfs4 ] || return 1
    if [ -n "${servers[$1]}" ]; then
        address=$(getent ahostsv4 "${servers[$1]}" | awk 'NR == 1 {print $1}')
        [ "$source" = "${sources[$1]}" ] || return 1
        case ",$given," in *",addr=$address,"*) ;; *) return 1 ;; esac
    fi
    timeout -k 1 15 stat -f "${paths[$1]}" >/dev/null 2>&1
}

fail() { # nothing is left half mounted
    printf '%s\n' "$*" >&2
    release
    exit 1
}

keep_own() { # have some names in the home stay what they are on this node
    local name
    for name in "${own_names[@]}"; do
        [ -d "$own/$name" ] ||
            install -d -m 700 -o "$account" -g "$(id -g "$account")" "$own/$name" || return
        [ -d "$home/$name" ] || sudo -n -u "$account" mkdir -m 700 "$home/$name" || return
        mount --bind "$own/$name" "$home/$name" || return
    done
}

mount_one() { # number $1
    local path=${paths[$1]} kind=${kinds[$1]} source=${sources[$1]} given=${options[$1]} said
    if [ "$path" = "$home" ]; then
        mkdir -p "$own"
        mount --bind "$home" "$own" || fail "$home cannot be kept aside"
        # What is mounted in the one place is not to be in the other.
        mount --make-private "$own" || fail "$home cannot be kept aside"
    elif [ -n "$(on "$path")" ]; then
        fail "$path: something else is mounted there"
    elif [ -e "$path" ] && [ -n "$(ls -A "$path")" ]; then
        fail "$path: there are files in that place, which it would hide"
    fi
    mkdir -p "$path"
    if [ "$kind" = efs ]; then # by AWS's own program, where the image has it: that brings TLS
        if command -v mount.efs >/dev/null; then source=${source%%.*}:/ given=tls; else kind=nfs4; fi
    fi
    said=$(timeout -k 1 90 mount -t "$kind" -o "$given" "$source" "$path" 2>&1 9>&-) ||
        fail "$path: ${said:-it was not mounted within 90 s}"
    if [ -n "$owner" ] && [ "$(stat -c %u "$path")" = 0 ] && [ -z "$(ls -A "$path")" ]; then
        chown "$owner:" "$path" 2>/dev/null || true # its policy may not let root
    fi
    [ "$path" != "$home" ] || keep_own || fail "${own_names[*]} in $home cannot stay this node's own"
}

umask 077
mkdir -p /run/spotcluster
exec 9>"/run/spotcluster/$service.lock" # of the unit, and of who calls us
if [ "$1" = check ]; then
    flock -n 9 || exit 0 # it is being mounted, so nothing is
    for i in "${!paths[@]}"; do
        is_right "$i" || { release && break; }
    done
    exit 0
fi
flock -w 240 9
if [ "$1" = release ]; then
    release
    exit 0
fi
if [ -n "$home" ] && [ "$(id -u "$account")" != "$uid" ]; then
    fail "$account is number $(id -u "$account") here and $uid on the master, so files would be others'"
fi
for i in "${!paths[@]}"; do
    is_right "$i" || all=0
done
if [ "${all:-1}" = 0 ]; then
    umask 022
    release # all of it, as one may be inside another
    for i in "${!paths[@]}"; do mount_one "$i"; done
    # Engines that run are in the home that was there before.
    [ -z "$home" ] || systemctl try-restart 'spotcluster-engine@*.service' || true
fi
