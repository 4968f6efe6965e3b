# Make the users of a cluster, and lock out those who are no more. As root, as often as anybody likes.
# Given: names=(...) numbers=(...) roots=(...) account=THE-CLUSTER-USER group gid shared=FOLDER
# Prints who was locked out.
umask 022
listed() { # name
    local one
    for one in "${names[@]}"; do [ "$one" != "$1" ] || return 0; done
    return 1
}
refuse() { # sentence
    echo "$*" >&2
    exit 1
}
as() { # user, command: what is in a user's home is that user's to name, and not for root to follow
    local user=$1
    shift
    setpriv --reuid "$user" --regid "$user" --clear-groups env -i HOME="/home/$user" PATH="$PATH" "$@"
}
end_all() { # user: what runs as the user, and what the user's sessions have begun as somebody else
    local number pid tries
    number=$(id -u "$1")
    if [ -d /run/systemd/system ]; then
        loginctl disable-linger "$1" 2>/dev/null || true
        systemctl kill --signal KILL "user-$number.slice" 2>/dev/null || true
    fi
    for tries in {1..50}; do
        found=
        for pid in /proc/[0-9]*; do
            [ "$(stat -c %u "$pid" 2>/dev/null)" = "$number" ] || continue
            found=1
            kill -KILL "${pid##*/}" 2>/dev/null || true
        done
        [ -n "$found" ] || return 0
        sleep 0.1
    done
    echo "Processes of $1 do not end." >&2
    return 1
}
lock_out() { # user; in this order, so that whatever is cut off is done again
    usermod --expiredate 1 --shell "$(command -v nologin || echo /bin/false)" "$1"
    as "$1" sh -c 'rm -f ~/.ssh/authorized_keys ~/.ssh/authorized_keys2' 2>/dev/null || true
    if command -v crontab >/dev/null; then crontab -u "$1" -r 2>/dev/null || true; fi
    end_all "$1"
    gpasswd --delete "$1" "$group" >/dev/null
    echo "locked out $1"
}

# Whose the image's names and numbers are is said before anything is changed.
there=$(getent group "$group" | cut -d : -f 3 || true)
other=$(getent group "$gid" | cut -d : -f 1 || true)
if [ "${there:-$gid}" != "$gid" ] || [ "${other:-$group}" != "$group" ]; then
    refuse "The image has a group ${other:-$group} of number ${there:-$gid}; $group is $gid on every node."
fi
for i in "${!names[@]}"; do
    there=$(id -u "${names[i]}" 2>/dev/null || true)
    other=$(getent passwd "${numbers[i]}" | cut -d : -f 1 || true)
    own=$(getent group "${names[i]}" | cut -d : -f 3 || true)
    if [ "${there:-${numbers[i]}}" != "${numbers[i]}" ]; then
        refuse "The image has a user ${names[i]} already, of number $there; call yours otherwise."
    elif [ "${other:-${names[i]}}" != "${names[i]}" ]; then
        refuse "The image has a user $other of number ${numbers[i]}, which is ${names[i]}'s on every node."
    elif [ "${own:-${numbers[i]}}" != "${numbers[i]}" ]; then # as docker, whose members are root
        refuse "The image has a group ${names[i]} already, whose rights are not yours to give; call yours otherwise."
    fi
done

[ -n "$(getent group "$group")" ] || groupadd --gid "$gid" "$group"
# The rules first: whoever is locked out is not to come back by one.
rules=/etc/sudoers.d/spotcluster-users
new=$(mktemp "${rules%/*}/.spotcluster.XXXXXX") # sudo reads no name with a dot in it
{
    for one in "${roots[@]}"; do echo "$one ALL=(ALL:ALL) NOPASSWD: ALL"; done
    # Who may be the cluster user may do what that may: not where it can become root.
    if ! setpriv --reuid "$account" --regid "$account" --init-groups sudo -n true 2>/dev/null; then
        echo "%$group ALL=($account) NOPASSWD: ALL"
    fi
} >"$new"
chmod 440 "$new"
visudo -c -q -f "$new" || refuse "sudo does not take the rules."
mv "$new" "$rules"

for one in $(getent group "$group" | cut -d : -f 4 | tr , ' '); do
    if [ "$one" != "$account" ] && ! listed "$one"; then lock_out "$one"; fi
done

for i in "${!names[@]}"; do
    name=${names[i]} number=${numbers[i]}
    if ! getent passwd "$name" >/dev/null; then
        [ -n "$(getent group "$name")" ] || groupadd --gid "$number" "$name"
        # '*' is no password at all; a locked account ('!') sshd refuses where it does without PAM.
        # A home may be there already, on a file system that nodes share.
        home=--create-home
        [ ! -d "/home/$name" ] || home=--no-create-home
        useradd "$home" --home-dir "/home/$name" --uid "$number" --gid "$name" --shell /bin/bash \
            --password '*' --comment 'spotcluster user' "$name"
    fi
    usermod --expiredate '' --shell /bin/bash --append --groups "$group" "$name"
    as "$name" chmod 700 "/home/$name"
done
usermod --append --groups "$group" "$account"

# Where nodes share it, the master has made it, and root of another node may change nothing there.
case $(stat -c %g:%A "$shared" 2>/dev/null || true) in
    "$gid:drwxrws"*) ;;
    *)
        mkdir -p "$shared"
        chgrp "$group" "$shared"
        chmod 2770 "$shared"
        ;;
esac
# What one makes there all may change, where the file system and the image have lists for that.
if command -v setfacl >/dev/null; then setfacl -m 'd:g::rwx' "$shared" 2>/dev/null || true; fi
