# What keeps the cluster's size, as a service on its master. Given before it: home, library,
# cluster, region, key, longest, address
umask 077
export HOME=$home # its own: what the login has set for AWS is not meant
export PYTHONPATH=$library${PYTHONPATH:+:$PYTHONPATH}
. layout.sh
cd "$home"
# Of one that cannot start, the log is bounded too; of one that runs, service.py sees to that.
[ ! -e log ] || [ "$(wc -c <log)" -lt "$longest" ] || mv log log.1
exec >>log 2>&1
# It is there for as long as the cluster, beside engines that want the memory: what only its
# beginning needs, compiling its modules and reading whole models, other processes do.
export MALLOC_ARENA_MAX=1
case $address in # in a subnet of IPv6 only, where AWS has other names
    *:*) export AWS_USE_DUALSTACK_ENDPOINT=true AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6 ;;
esac
"$env_python" -c "import spotcluster.cluster.lifecycle.keeping.acting" || true
rm -rf "$home/models"
if "$env_python" -m spotcluster.aws.models "$home/models"; then
    export AWS_DATA_PATH=$home/models
else
    rm -rf "$home/models"
fi
exec "$env_python" -m spotcluster.cluster.lifecycle.keeping.service "$cluster" "$region" "$key"
