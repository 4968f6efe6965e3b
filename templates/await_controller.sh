# Wait until the controller listens. Given: ip=ADDRESS
root=$HOME/.spotcluster
security=$root/ipython/security
# Its files may be there from an earlier one, so ask whether it listens.
answers() {
    [ -s "$security/ipcontroller-client.json" ] || return 1
    port=$(sed -n 's/.*"registration": *\([0-9]*\).*/\1/p' "$security/ipcontroller-engine.json")
    [ -n "$port" ] && (exec 3<>"/dev/tcp/$ip/$port") 2>/dev/null
}
for _ in $(seq 300); do
    if answers; then exit 0; fi
    sleep 0.1
done
echo "The controller did not listen within 30 s; its log says:" >&2
tail -n 10 "$root/logs/controller.log" >&2
exit 1
