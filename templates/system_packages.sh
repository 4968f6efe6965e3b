# Install packages of the distribution. As root. Given: manager=apt-get, dnf or yum,
# packages=(NAME NAME=VERSION), limit=SECONDS to wait for who else installs something
export LC_ALL=C
end=$((SECONDS + limit))

# Runs a command once nobody else is at it; one that others hold up is tried again.
when_free() {
    local said
    until said=$("$@" 2>&1); do
        case $said in
            *"ould not get lock"* | *"nable to lock"* | *"nable to acquire the dpkg"* | *"by another process"*) ;;
            *)
                printf '%s\n' "$said" >&2
                return 1
                ;;
        esac
        if [ "$SECONDS" -ge "$end" ]; then
            printf '%s\n' "$said" >&2
            echo "Another program has been installing something for $limit s (LOCK_TIMEOUT)." >&2
            return 1
        fi
        sleep 1
    done
}
unknown() { # names
    local names
    names=$(printf ', %s' "$@")
    echo "$manager of $(. /etc/os-release && echo "$PRETTY_NAME") has no package ${names#, }." >&2
    exit 1
}

with_apt() {
    local one status missing=() lacking=()
    for one in "${packages[@]}"; do
        status=$(dpkg-query -W -f '${db:Status-Status}=${Version}' "${one%%=*}" 2>/dev/null) || status=
        case $one=$status in
            *=*=installed=*) [ "${one#*=}" = "${status#installed=}" ] || missing+=("$one") ;;
            *=installed=*) ;;
            *) missing+=("$one") ;;
        esac
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    # Nothing asks anybody anything, and what was configured stays so.
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 UCF_FORCE_CONFFOLD=1
    when_free dpkg --configure -a # one that was cut off before
    when_free apt-get update -qq -o Acquire::Retries=3
    for one in "${missing[@]}"; do
        apt-get install --dry-run -qq --allow-downgrades "$one" >/dev/null 2>&1 || lacking+=("$one")
    done
    if [ "${#lacking[@]}" -gt 0 ]; then
        status=$(apt-get install --dry-run -qq --allow-downgrades "${lacking[@]}" 2>&1) || true
        case $status in
            *"nable to locate"* | *"was not found"* | *"no installation candidate"* | *"ouldn't find"*)
                unknown "${lacking[@]}"
                ;;
        esac
    fi
    when_free apt-get install -y -qq --no-remove --allow-downgrades -o Acquire::Retries=3 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "${missing[@]}"
}

with_dnf() { # to which 1.2 of NAME is NAME-1.2
    local one missing=() lacking=()
    for one in "${packages[@]}"; do
        rpm -q --quiet "${one/=/-}" 2>/dev/null || rpm -q --quiet --whatprovides "${one/=/-}" 2>/dev/null ||
            missing+=("$one")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    for one in "${missing[@]}"; do
        [ -n "$("$manager" -q list --showduplicates "${one/=/-}" 2>/dev/null)" ] || lacking+=("$one")
    done
    [ "${#lacking[@]}" = 0 ] || unknown "${lacking[@]}"
    # It waits for who else installs something, and does not say for how long.
    timeout "$((limit + 600))" "$manager" install -y -q "${missing[@]/=/-}"
}

case $manager in
    apt-get) with_apt ;;
    dnf | yum) with_dnf ;;
    *)
        echo "This machine has neither apt nor dnf." >&2
        exit 1
        ;;
esac
