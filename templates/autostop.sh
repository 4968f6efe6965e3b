# What ends an idle cluster, as a service on every node. Given before it: folder
umask 077
case $folder in
    /etc/*) # root's: what is seen is for the login to read, too
        umask 022
        chmod 755 "$folder"
        ;;
esac
cd /
exec >>"$folder/autostop.log" 2>&1
exec python3 -I -S "$folder/autostop.py" "$folder"
