# What ends an idle cluster, as a service on every node. Given before it: folder
umask 022
cd /
exec >>"$folder/autostop.log" 2>&1
exec python3 -I "$folder/autostop.py" watch "$folder"
