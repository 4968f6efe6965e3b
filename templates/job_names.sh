# Say which jobs there ever were: a line each of number, tab and spec. Nothing is installed for that.
. layout.sh
for one in "$root"/jobs/*/spec.json; do
    if [ -s "$one" ]; then
        folder=${one%/*}
        printf '%s\t%s\n' "${folder##*/}" "$(cat "$one")"
    fi
done
