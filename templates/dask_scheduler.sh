# dask's scheduler, as a service on the master. Given before it: ip=ADDRESS free_port=PROGRAM
umask 077
. layout.sh
mkdir -p "$root/logs"
exec >>"$root/logs/dask-scheduler.log" 2>&1
cd "$HOME" || exit 1
rm -f "$dask/scheduler.json"
# The port of last time where it is free, so that workers and clients find one that was started
# again; dask's own at first.
# shellcheck disable=SC2046 # there may be none
port=$("$env_python" -c "$free_port" "$ip" $(cat "$dask/port" 2>/dev/null) 8786)
echo "$port" >"$dask/port.new" && mv "$dask/port.new" "$dask/port"
export VIRTUAL_ENV=$env PATH=${env_python%/*}:$PATH
export DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=True
# Nodes reach it by TLS with the cluster's own key; its dashboard is for who is on this machine, and
# has the token: dask_scheduler.py.
exec "$env_python" -m distributed.cli.dask_scheduler --host "tls://$ip" --port "$port" \
    --tls-ca-file "$dask/tls.pem" --tls-cert "$dask/tls.pem" --tls-key "$dask/tls.pem" \
    --dashboard-address 127.0.0.1:8787 --preload "$services/dask_scheduler.py"
