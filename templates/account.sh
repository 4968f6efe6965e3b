# Prepare a user's own folders. As that user. Given: master=1 or 0, aliases=FOLDER, keys=LINES,
# own=1 to make a key for the way to the other nodes, programs=FOLDER of the cluster's Python,
# where it is not this user's own
. layout.sh
umask 077
mkdir -p "$HOME/.spotcluster/logs" "$HOME/.ssh"
chmod 700 "$HOME/.spotcluster" "$HOME/.ssh"
touch "$HOME/.ssh/authorized_keys"
chmod 600 "$HOME/.ssh/authorized_keys"
while IFS= read -r key; do
    [ -z "$key" ] || grep -qxF "$key" "$HOME/.ssh/authorized_keys" ||
        printf '%s\n' "$key" >>"$HOME/.ssh/authorized_keys"
done <<<"$keys"
if [ "$master" = 1 ]; then
    mkdir -p "$HOME/.ssh/spotcluster"
    touch "$HOME/.ssh/config"
    [ -n "$aliases" ] || aliases=$HOME/.ssh/spotcluster # ssh expands ~ by the password file
    line="Include $aliases/*.conf"
    if ! grep -qxF "$line" "$HOME/.ssh/config"; then
        { printf '%s\n\n' "$line"; cat "$HOME/.ssh/config"; } >"$HOME/.ssh/config.new"
        mv "$HOME/.ssh/config.new" "$HOME/.ssh/config"
    fi
    if [ "$own" = 1 ] && [ ! -s "$HOME/.ssh/id_ed25519.pub" ]; then
        rm -f "$HOME/.ssh/id_ed25519"
        ssh-keygen -q -t ed25519 -N '' -C "$(id -un)@cluster" -f "$HOME/.ssh/id_ed25519"
    fi
fi

# The cluster's environment comes first, in every shell; but not where one runs a script of ours,
# which is to find what the machine itself has.
[ -n "$programs" ] || programs=${env_python%/*}
cat >"$root/path.sh.new" <<PATHS
case \${BASH_EXECUTION_STRING-}\${ZSH_EXECUTION_STRING-} in *sc_mark=*) return 0 ;; esac
[ -x '$programs/python' ] || return 0
case \$PATH in '$programs':*) ;; *) export PATH='$programs':"\$PATH" ;; esac
PATHS
mv "$root/path.sh.new" "$root/path.sh"
add_to() { # file, line: as its first, for Ubuntu's .bashrc ends early where nobody types, and its last
    local first='' last='' line begun='' open=''
    while IFS= read -r line || { [ -n "$line" ] && open=1; }; do # no programs: it is done often
        [ -n "$begun" ] || first=$line
        begun=1 last=$line
    done <"$1"
    if [ "$first" != "$2" ] || [ "$last" != "$2" ]; then
        {
            [ "$first" = "$2" ] || echo "$2"
            cat "$1"
            [ -z "$open" ] || echo
            [ "$last" = "$2" ] || echo "$2"
        } >"$root/rc.new"
        cat "$root/rc.new" >"$1" # it may be a link
        rm "$root/rc.new"
    fi
}
for file in .bashrc .profile .zshenv .bash_profile .bash_login .zprofile .zshrc; do
    file=$HOME/$file
    case $file in
    */.bashrc | */.profile | */.zshenv) [ -e "$file" ] || touch "$file" || true ;;
    esac
    if [ -f "$file" ] && [ -w "$file" ]; then # the others are read where they are, some instead of .profile
        add_to "$file" '[ ! -r ~/.spotcluster/path.sh ] || . ~/.spotcluster/path.sh # spotcluster'
    fi
done
case ${SHELL-} in
*csh)
    [ -e "$HOME/.cshrc" ] || touch "$HOME/.cshrc"
    add_to "$HOME/.cshrc" "if ( -x '$programs/python' ) set path = ( '$programs' \$path ) # spotcluster"
    ;;
esac
