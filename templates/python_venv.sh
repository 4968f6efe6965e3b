# Debian and Ubuntu ship Python without venv: bring it, where uv is not there either.
# The packages are then installed by the cluster user, who cannot become root.
if ! command -v uv >/dev/null && command -v apt-get >/dev/null &&
    ! python3 -c 'import ensurepip, venv' 2>/dev/null
then
    end=$((SECONDS + 120))
    # A machine that has just booted updates its lists by itself, and `update` waits for nobody.
    until said=$(sudo -n env LC_ALL=C apt-get update -qq 2>&1); do
        case $said in
            *"ould not get lock"* | *"nable to lock"*) [ "$SECONDS" -lt "$end" ] && sleep 1 && continue ;;
        esac
        printf '%s\n' "$said" >&2
        exit 1
    done
    sudo -n env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=120 install -y -qq python3-venv
fi
