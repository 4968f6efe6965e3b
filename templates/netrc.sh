# Let the pip and uv of this script in where a login is needed. Given: what, netrc=LINES
# The file is in memory where there is such a place, and loses its name at once: it cannot be left
# behind, whatever ends this, and neither another user nor a copy of the disk has it.
netrc_place=/dev/shm
[ -w "$netrc_place" ] || netrc_place=${TMPDIR:-/tmp}
netrc_file=$(umask 077 && mktemp "$netrc_place/spotcluster.XXXXXX")
exec 9<>"$netrc_file"
printf %s "$netrc" >&9
unset netrc
if [ -e /proc/self/fd/9 ]; then
    rm -f -- "$netrc_file"
    # Ours, for the pip that pip runs to build what it installs: that one has no descriptors of ours.
    export NETRC=/proc/$BASHPID/fd/9
else # no Linux: it has its name until the end
    export NETRC=$netrc_file
    trap 'rm -f -- "$netrc_file"' EXIT
fi
