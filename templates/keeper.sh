# What keeps the cluster's size, as a service on its master. Given before it: home, library,
# cluster, region
umask 077
export HOME=$home # its own: what the login has set for AWS is not meant
export PYTHONPATH=$library${PYTHONPATH:+:$PYTHONPATH}
cd "$home"
exec >>"$home/log" 2>&1
exec "$home/.spotcluster/env/bin/python" -m spotcluster.cluster.lifecycle.keeping.service \
    "$cluster" "$region" "${home%/.spotcluster/keeper}/.ssh/id_ed25519"
