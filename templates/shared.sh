# Mount what nodes share, or let go of it. As root, and as often as anybody likes; the argument says
# which: mount, release, check, which lets go of it where nobody serves it, or watch, which does so and
# mounts it again for as long as it runs. Given: service=NAME; account and home=FOLDER of whoever's home
# is among the paths, and nothing where it is not; uid=NUMBER that the account has to have; own_names=what
# stays the node's own in that home; owner=NAME of whose a new file system becomes; patience=SECONDS
# without an answer; and an item for each mount in paths, kinds, sources, options, and servers, where a
# name says which machine it has to be.
set -euo pipefail
own=/run/spotcluster/home # the node's own home, while the shared one is in its place
named=() # the folders that come from a machine which has a name, the last ones first, and those machines
machines=()
for i in "${!paths[@]}"; do
    [ -n "${servers[i]}" ] || continue
    named=("${paths[i]}" "${named[@]}")
    case " ${machines[*]} " in *" ${servers[i]} "*) ;; *) machines+=("${servers[i]}") ;; esac
done

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
    # Even the way to what is mounted inside leads by the server.
    if grep -qF ' - nfs4 ' /proc/self/mountinfo && [ "${#named[@]}" -gt 0 ] && ! answers; then abandon; fi
    if [ -n "$home" ]; then
        for name in "${own_names[@]}"; do let_go "$home/$name"; done
    fi
    for ((i = ${#paths[@]} - 1; i >= 0; i--)); do let_go "${paths[i]}"; done
    [ -z "$home" ] || let_go "$own"
}

abandon() { # what nobody answers for: who waits there gets an error, or is ended
    local end calm one
    # Who is woken lets the next one wait, so it takes a few looks to know that nobody is left.
    for ((end = SECONDS + 10, calm = 0; SECONDS < end && calm < 3; calm++)); do
        for one in "${named[@]}"; do timeout -k 1 2 umount -i -f "$one" 2>/dev/null || true; done
        # The kernel renews its lease before it opens a file, and nothing else ends that.
        end_waiters 'nfs4_wait_clnt_recover'
        [ -z "$(waiting "$in_nfs")" ] || calm=-1
        sleep 0.2
    done
    for one in "${named[@]}"; do # with the names in it that stay the node's own
        timeout -k 1 2 umount -i -f "$one" 2>/dev/null || timeout -k 1 5 umount -i -l "$one" 2>/dev/null || true
    done
    [ -z "$home" ] || umount -l "$own" 2>/dev/null || true
    for ((end = SECONDS + 10, calm = 0; SECONDS < end && calm < 3; calm++)); do
        [ -z "$(waiting "$in_nfs")" ] || calm=-1
        end_waiters "$in_nfs"
        sleep 0.2
    done
}

in_nfs='nfs4?_|rpc_wait_bit_killable' # in the stack of who waits for NFS
waiting() { # processes, the kernel's own aside, that have $1 in it
    grep -lsE " ($1)" /proc/[0-9]*/task/[0-9]*/stack | xargs -r grep -LsF ' kthread+' | cut -d/ -f3 | uniq || true
}

end_waiters() { # see `waiting`; but where somebody else's files are mounted too, it may be those
    local one
    ! awk '/ - nfs4 / { print $5 }' /proc/self/mountinfo | grep -vqxF "$(printf '%s\n' "${named[@]}")" || return 0
    for one in $(waiting "$1"); do
        echo "ended, as it waited for shared files: $one ($(cat "/proc/$one/comm" 2>/dev/null))"
        kill -9 "$one" 2>/dev/null || true
    done
}

# What is done every few seconds on every node is done by as few processes as can be: one for each look.
asked= # the child that asks: one at a time, as it may hang
answers() { # whether the server does, within 5 s
    local got=0 said
    if [ -z "$asked" ]; then
        exec {answer}< <(ask)
        read -r asked <&"$answer"
    fi
    read -r -t 5 -N "${#named[@]}" said <&"$answer" || got=$?
    if [ "$got" -gt 128 ]; then # that may come to nothing for as long as it hangs
        kill -9 "$asked" 2>/dev/null || true
        return 1
    fi
    exec {answer}<&-
    asked=
    [ "$got" = 0 ]
}

ask() { # say who asks, and a letter for each folder that its server has answered for
    local machine
    exec 9>&-
    echo "$BASHPID"
    for machine in "${machines[@]}"; do : <>"/dev/tcp/$machine/2049" || return; done
    exec stat -f --printf=. -- "${named[@]}"
} 2>/dev/null

watch() {
    local last=$SECONDS gone=0 pause
    [ "${#named[@]}" -gt 0 ] || exec sleep infinity # EFS comes back by itself
    exec {pause}<> <(:) # where nothing comes
    while :; do
        read -r -t 4 <&"$pause" || true
        if ! answers; then
            [ "$gone" = 0 ] || end_waiters "$in_nfs"
            [ "$gone" = 0 ] && [ $((SECONDS - last)) -ge "$patience" ] || continue
            flock -w 240 9 || continue
            abandon
            flock -u 9
            gone=1
            echo "no answer for $((SECONDS - last)) s, so these are unmounted: ${paths[*]}"
        elif [ "$gone" = 0 ]; then
            last=$SECONDS
        elif bash "$0" mount; then
            gone=0 last=$SECONDS
            echo "mounted again: ${paths[*]}"
        else
            sleep 10
        fi
    done
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
if [ "$1" = watch ]; then
    watch
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
    [ -z "$home" ] || systemctl try-restart spotcluster-engines.service 'spotcluster-engine@*.service' || true
fi
