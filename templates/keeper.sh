# What keeps the cluster's size, as a service on its master. Given before it: home, library,
# cluster, region, key
umask 077
export HOME=$home # its own: what the login has set for AWS is not meant
export PYTHONPATH=$library${PYTHONPATH:+:$PYTHONPATH}
. layout.sh
cd "$home"
exec >>"$home/log" 2>&1
exec "$env_python" -m spotcluster.cluster.lifecycle.keeping.service "$cluster" "$region" "$key"
