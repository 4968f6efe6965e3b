# Bring the keeper its own code. Given: home, digest; and where it said `missing`, an archive on
# standard input.
umask 077
folder=$home/lib/$digest
if [ ! -d "$folder" ]; then
    mkdir -p "$home/lib"
    new=$(mktemp -d "$home/lib/.new.XXXXXX")
    if ! tar -xzf - -C "$new" 2>/dev/null; then
        rm -rf "$new"
        echo missing
        exit 0
    fi
    [ -d "$folder" ] || mv "$new" "$folder"
    rm -rf "$new"
fi
