# List what is installed in the environment: NAME-VERSION, one a line.
. layout.sh
for one in "$env"/lib/python3*/site-packages/*.dist-info; do
    [ ! -e "$one" ] || basename "$one" .dist-info
done
