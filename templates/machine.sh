# Make a machine a node: its cluster user and its name. As root, and as often as anybody likes.
# Given: alias, address, account, shell, uid, login, programs=FOLDER; hosts.sh comes after it.
. layout.sh
umask 022
mkdir -p /etc/spotcluster/ssh

if [ "$account" != "$login" ]; then
    if ! getent passwd "$account" >/dev/null; then
        # The same number on every node, so that files that nodes share have one owner.
        other=$(getent passwd "$uid" | cut -d : -f 1 || true)
        if [ -n "$other" ]; then
            echo "The image has a user $other of number $uid, which is $account's on every node." >&2
            exit 1
        fi
        path=$(command -v "$shell" || true)
        if [ -z "$path" ]; then
            path=/bin/bash
            echo "the shell $shell, which the image does not have"
        fi
        getent group "$account" >/dev/null || groupadd --gid "$uid" "$account"
        # '*' is no password at all; a locked account ('!') sshd refuses where it does without PAM.
        useradd --create-home --uid "$uid" --gid "$account" --shell "$path" --password '*' \
            --comment 'spotcluster' "$account"
    fi
    home=$(getent passwd "$account" | cut -d : -f 6)
    # The login, who can be root, uses the account's environment; nobody else comes in here.
    usermod --append --groups "$(id -gn "$account")" "$login"
    chmod 710 "$home"
    # On the login's PATH is not the environment itself: whatever the account put there would be
    # run by who can be root, under the name of any command.
    mkdir -p "$programs"
    bin=$home${env_python#"$HOME"}
    bin=${bin%/*}
    for program in python python3 ipython; do
        printf '#!/bin/sh\nexec %s "$@"\n' "$bin/$program" >"$programs/$program.new"
    done
    for program in pip pip3; do # as the account, whose it is
        printf '#!/bin/sh\nexec sudo -n -H -u %s -- %s "$@"\n' "$account" "$bin/$program" \
            >"$programs/$program.new"
    done
    for program in "$programs"/*.new; do
        chmod 755 "$program"
        mv "$program" "${program%.new}"
    done
    printf '%s\n' "$account" >/etc/spotcluster/account.new
    mv /etc/spotcluster/account.new /etc/spotcluster/account
fi

# cloud-init would give the machine its former name back at the next boot.
if [ -d /etc/cloud/cloud.cfg.d ]; then
    printf 'preserve_hostname: true\nmanage_etc_hosts: false\n' \
        >/etc/cloud/cloud.cfg.d/99_spotcluster.cfg
fi
