# Make a machine a node: its cluster user and its name. As root, and as often as anybody likes.
# Given: account, shell, uid, login, programs=FOLDER; hosts.sh comes after it.
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
    chmod 700 "$home"
    # The login, who can be root, has the account's Python too, but as the account: whatever that has
    # installed, or put there under whatever name, is not for the login to run.
    mkdir -p "$programs"
    bin=$home${env_python#"$HOME"}
    bin=${bin%/*}
    for program in python python3 ipython pip pip3; do
        cat >"$programs/$program.new" <<PROGRAM
#!/bin/sh
if ! sudo -n -u $account test -x $bin/$program; then # the machine's own, while there is none
    for one in /usr/local/bin/$program /usr/bin/$program; do [ ! -x "\$one" ] || exec "\$one" "\$@"; done
    echo "This node has no $program yet; a plugin that installs packages brings it." >&2
    exit 127
fi
if [ -f "\$1" ] && ! sudo -n -u $account test -r "\$1"; then
    echo "\$1 cannot be read by $account, as whom $program runs here; for that user's files there is" \
        "'spotcluster put -u $account'." >&2
    exit 1
fi
exec sudo -n -H -u $account -- $bin/$program "\$@"
PROGRAM
        chmod 755 "$programs/$program.new"
        mv "$programs/$program.new" "$programs/$program"
    done
    printf '%s\n' "$account" >/etc/spotcluster/account.new
    mv /etc/spotcluster/account.new /etc/spotcluster/account
fi

# cloud-init would give the machine its former name back at the next boot.
if [ -d /etc/cloud/cloud.cfg.d ]; then
    printf 'preserve_hostname: true\nmanage_etc_hosts: false\n' \
        >/etc/cloud/cloud.cfg.d/99_spotcluster.cfg
fi
