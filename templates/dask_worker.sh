# dask's workers of a node, as a service. Given before it: alias=NAME ip=ADDRESS
# scheduler=ADDRESS workers=NUMBER threads=OF-EACH
umask 077
. layout.sh
# Its node is leaving, or they are to be others: these are not to be started again.
if [ -e "$drain" ] || [ -e "$dask/leave" ]; then exit "$stay_ended"; fi
rm -rf "$dask/workers"
mkdir -p "$dask/workers" "$dask/scratch" "$root/logs"
exec >>"$root/logs/dask-worker.log" 2>&1
cd "$HOME" || exit 1
export SPOTCLUSTER_NODE=$alias SPOTCLUSTER_DRAIN_FLAG=$drain # for searches
export VIRTUAL_ENV=$env PATH=${env_python%/*}:$PATH          # for what they start
export DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=True
exec "$env_python" -m distributed.cli.dask_worker "$scheduler" --name "$alias" --host "$ip" \
    --nworkers "$workers" --nthreads "$threads" --local-directory "$dask/scratch" \
    --tls-ca-file "$dask/tls.pem" --tls-cert "$dask/tls.pem" --tls-key "$dask/tls.pem" \
    --no-dashboard --dashboard-address 127.0.0.1:0 --death-timeout 60 \
    --preload "$services/dask_worker.py"
