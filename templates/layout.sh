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
engines=$root/engines
services=$root/services
stay_ended=78
