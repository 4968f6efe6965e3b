# Where this account has what; spotcluster/node_layout.py says the same, and why it may not move.
root=$HOME/.spotcluster
env=$root/env
env_python=$env/bin/python
ipython=$root/ipython
security=$ipython/security
client_file=$security/ipcontroller-client.json
engine_file=$security/ipcontroller-engine.json
drain=$root/drain
notices=$root/notices
dask=$root/dask
ray=$root/ray
services=$root/services
stay_ended=78
engine_identity() { # node, number; only what may be in a Python name, and "-"
    echo "$1_$2_$$-$RANDOM"
}
