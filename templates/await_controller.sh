# Wait until the controller listens. Given: ip=ADDRESS
. layout.sh
# Its files may be there from an earlier one, so ask whether it listens.
answers() {
    [ -s "$client_file" ] || return 1
    port=$(sed -n 's/.*"registration": *\([0-9]*\).*/\1/p' "$engine_file")
    [ -n "$port" ] && (exec 3<>"/dev/tcp/$ip/$port") 2>/dev/null
}
for _ in $(seq 300); do
    if answers; then exit 0; fi
    sleep 0.1
done
echo "The controller did not listen within 30 s; its log says:" >&2
tail -n 10 "$root/logs/controller.log" >&2
exit 1
