# List what is installed in the environment: NAME-VERSION, one a line; after it " *" where somebody has
# asked pip or uv for it since install.sh was there last.
. layout.sh
given=$(cat "$env/given.txt" 2>/dev/null) || given=
for one in "$env"/lib/python3*/site-packages/*.dist-info; do
    [ -e "$one" ] || continue
    name=${one##*/} # no program is started for each of a hundred
    name=${name%.dist-info}
    later=
    if [ -n "$given" ] && [ -e "$one/REQUESTED" ]; then
        case $'\n'$given$'\n' in
            *$'\n'"$name"$'\n'*) ;;
            *) later=" *" ;;
        esac
    fi
    echo "$name$later"
done
