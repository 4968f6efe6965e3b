# JupyterLab, as a service on the master. Everything that is secret is in files of the user's.
umask 077
. layout.sh
own=$root/notebook
mkdir -p "$own/runtime" "$own/config" "$own/data" "$own/ipython/profile_default/security" \
    "$root/logs" "$HOME/notebooks"
exec >>"$root/logs/notebook.log" 2>&1
cd "$HOME/notebooks" || exit 1
rm -f "$own/port"
ln -sfn "$client_file" "$own/ipython/profile_default/security/${client_file##*/}"
# The port of last time where it is free, so that a browser finds a server that was started again.
port=$("$env_python" - "$(cat "$own/last-port" 2>/dev/null)" <<'PYTHON'
import socket, sys
for wanted in (sys.argv[1], "0"):
    try:
        with socket.create_server(("127.0.0.1", int(wanted or "0"))) as server:
            print(server.getsockname()[1])
            break
    except OSError:
        continue
PYTHON
)
echo "$port" >"$own/last-port"
export SPOTCLUSTER_NOTEBOOK_PORT=$port
export JUPYTER_RUNTIME_DIR=$own/runtime JUPYTER_CONFIG_DIR=$own/config JUPYTER_DATA_DIR=$own/data
# An IPython of its own, so that what is started with its kernels is not started elsewhere.
export IPYTHONDIR=$own/ipython VIRTUAL_ENV=$env PATH=${env_python%/*}:$PATH SHELL=/bin/bash
export SPOTCLUSTER_CLUSTER=$(cat "$root/cluster")
echo "$port" >"$own/port.new" && mv "$own/port.new" "$own/port"
exec "$env_python" -m jupyterlab
