# Debian and Ubuntu ship Python without venv: bring it, where uv is not there either.
# The packages are then installed by the cluster user, who cannot become root.
if ! command -v uv >/dev/null && command -v apt-get >/dev/null &&
    ! python3 -c 'import ensurepip, venv' 2>/dev/null
then
    sudo -n apt-get -o DPkg::Lock::Timeout=120 update -qq
    sudo -n env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=120 install -y -qq python3-venv
fi
