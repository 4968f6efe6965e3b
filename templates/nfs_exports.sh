# Let nodes mount folders of the master's by NFS, or no longer. As root. Given: let_in=1 or 0,
# addresses, account, home=FOLDER or nothing where that is not shared, volumes=FOLDERS
# Prints the account's number, and then the folders, one a line.
mkdir -p /etc/spotcluster
exec 9>/etc/spotcluster/exports.lock # many nodes come at once
flock -w 30 9
file=/etc/exports.d/spotcluster.exports
[ -e "$file" ] || : >"$file"
uid=$(id -u "$account")
# Root of a node is the account here, who is let in anyway; on the disk when it is answered.
options=rw,sync,root_squash,anonuid=$uid,anongid=$(id -g "$account"),no_subtree_check,sec=sys
shared=()
[ -z "$home" ] || shared+=("$home")
for path in "${volumes[@]}"; do
    if mountpoint -q "$path"; then shared+=("$path"); fi
done
{
    awk -v given=" ${addresses[*]} " '{ split($2, who, "("); if (!index(given, " " who[1] " ")) print }' "$file"
    if [ "$let_in" = 1 ]; then
        for path in "${shared[@]}"; do
            own=$options
            [ "$path" = "$home" ] || own=$own,mountpoint # without its volume it is a folder of another disk
            for address in "${addresses[@]}"; do printf '%s %s(%s)\n' "$path" "$address" "$own"; done
        done
    fi
} >"$file.new"
cp -p "$file" "$file.old"
mv "$file.new" "$file"
if ! said=$(exportfs -r 2>&1); then
    mv "$file.old" "$file"
    exportfs -r 2>/dev/null || true
    printf '%s\n' "$said" >&2
    exit 1
fi
rm -f "$file.old"
printf '%s\n' "$uid" "${shared[@]}"
