# Stand-ins for what asks a kernel about NFS, in a folder that comes first in PATH; in it `table` is what is
# mounted, `log` what was asked for, and `gone` there while the server does not answer.
# Arguments: the folder.
folder=$1
mkdir -p "$folder"
cd "$folder"
: >table
: >log
cat >mount <<'SH'
#!/bin/bash
place=${0%/*}
echo "mount $*" >>"$place/log"
[ ! -e "$place/gone" ] || exit 32
printf '1 1 0:1 / %s rw - %s %s rw,addr=127.0.0.1\n' "$6" "$2" "$5" >>"$place/table"
SH
cat >umount <<'SH'
#!/bin/bash
place=${0%/*}
echo "umount $*" >>"$place/log"
case "$*" in *-l*) ;; *-f*) exit 32 ;; esac # somebody is in it
/usr/bin/awk -v path="${!#}" '$5 != path' "$place/table" >"$place/table.new"
mv "$place/table.new" "$place/table"
SH
cat >stat <<'SH'
#!/bin/bash
[ "$1" = -f ] || exec /usr/bin/stat "$@"
place=${0%/*}
while [ -e "$place/gone" ]; do read -r -t 1 <>"$place/nothing"; done # for as long as it takes
case $2 in --printf=*) printf '%.0s.' "${@:4}" ;; esac
echo stat >>"$place/log"
SH
for program in awk grep; do
    cat >"$program" <<SH
#!/bin/bash
exec /usr/bin/$program "\${@//\/proc\/self\/mountinfo/\${0%/*}/table}"
SH
done
mkfifo nothing
chmod 755 mount umount stat awk grep
