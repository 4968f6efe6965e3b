# Change sshd to a host key that was made here. As root. Given: step=make or change
# make prints the public half, the same one whenever it is asked.
folder=/etc/spotcluster
used=/etc/ssh/ssh_host_ed25519_key
aside=$used.spotcluster
umask 022
mkdir -p "$folder"
public_of() { ssh-keygen -y -f "$1" 2>/dev/null | cut -d ' ' -f 1,2; }

case $step in
make)
    own=$(cat "$folder/host_key.pub" 2>/dev/null || true)
    if [ -z "$own" ] || { [ "$(public_of "$aside")" != "$own" ] && [ "$(public_of "$used")" != "$own" ]; }
    then
        rm -f "$aside" "$aside.pub"
        ssh-keygen -q -t ed25519 -N '' -C '' -f "$aside"
        public_of "$aside" >"$folder/host_key.pub.new"
        sync "$aside" "$folder/host_key.pub.new"
        mv "$folder/host_key.pub.new" "$folder/host_key.pub"
    fi
    cat "$folder/host_key.pub"
    ;;
change)
    own=$(cat "$folder/host_key.pub")
    if [ "$(public_of "$used")" != "$own" ]; then
        printf '%s\n' "$own" >"$used.pub"
        mv "$aside" "$used"
        sync "$used.pub" "${used%/*}" # from now on no other key is taken for this machine's
    fi
    rm -f "$aside" "$aside.pub"
    # Every other key that sshd would offer came with the image or the user data.
    rm -f /etc/ssh/ssh_host_rsa_key* /etc/ssh/ssh_host_ecdsa_key* /etc/ssh/ssh_host_dsa_key*
    sshd=$(command -v sshd || echo /usr/sbin/sshd)
    "$sshd" -t
    # Sessions that are open stay open, this one too. Debian calls the unit ssh, others sshd.
    unit=ssh.service
    systemctl cat "$unit" >/dev/null 2>&1 || unit=sshd.service
    systemctl reload "$unit" 2>/dev/null || systemctl restart "$unit"
    # The first key opens nothing now; its copies go once cloud-init, which reads them, has ended.
    # (After a reboot cloud-init fetches the user data again, and with it that key, to no use.)
    # In a file: systemd cannot read a unit again whose command has several lines.
    forget=/run/spotcluster-forget
    cat >"$forget.new" <<'END'
# "cloud-init status --wait" is a Python that looks four times a second.
for _ in $(seq 300); do
    if [ -e /run/cloud-init/result.json ] || [ -e /run/cloud-init/disabled ] ||
        [ ! -d /run/cloud-init ]; then break; fi
    sleep 2
done
shopt -s nullglob
for file in /var/lib/cloud/instances/*/{user-data.txt,user-data.txt.i,cloud-config.txt} \
    /var/lib/cloud/instances/*/{vendor-data.txt.i,obj.pkl} \
    /run/cloud-init/combined-cloud-config.json; do
    if grep -qsF "OPENSSH PRIVATE KEY" "$file"; then shred -u "$file" || rm -f "$file"; fi
done
END
    mv "$forget.new" "$forget" # one that runs has the former file
    systemctl reset-failed spotcluster-forget.service 2>/dev/null || true
    systemd-run --quiet --no-block --collect --unit=spotcluster-forget bash "$forget" 2>/dev/null || true
    ;;
esac
