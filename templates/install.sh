# Make ~/.spotcluster/env with $python and install $packages into it, within $constraints.
# Given: python=3.12 index=URL-or-empty trusted=its-host-if-without-TLS packages=(...)
#        constraints=LINES one_pip=PROGRAM list=SCRIPT, which is packages.sh
umask 077
. layout.sh
mkdir -p "$root"
chmod 700 "$root"
printf '%s\n' "$constraints" >"$root/constraints.txt"
# The certificates of the system are the ones that a company's proxy or mirror is in.
export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 UV_NO_PROGRESS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
PATH=$root/uv/bin:$PATH
if [ -n "$index" ]; then # pip and uv alike, whichever command
    export PIP_INDEX_URL=$index UV_DEFAULT_INDEX=$index PIP_TRUSTED_HOST=$trusted
fi

is_right_python() {
    [ "$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$python" ]
}

# Prints where the pip is that Python gives to new environments.
find_pip='
import ensurepip, glob, os, sysconfig

bundled = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
debians = "/usr/share/python-wheels"
for folder in (sysconfig.get_config_var("WHEEL_PKG_DIR"), bundled, debians):
    for wheel in glob.glob(f"{folder}/pip-*.whl"):
        print(wheel)
        raise SystemExit
'

bring_uv() {
    wheel=$(python3 -c "$find_pip") || return
    if [ -n "$wheel" ]; then # it runs where it is: to install it takes longer than all else
        python3 -m venv --clear --without-pip "$root/uv" &&
            "$root/uv/bin/python" "$wheel/pip" install --quiet uv
    else
        python3 -m venv --clear "$root/uv" && "$root/uv/bin/python" -m pip install --quiet uv
    fi
}

with_uv() {
    command -v uv >/dev/null || bring_uv || return
    is_right_python "$env_python" || uv venv --quiet --clear --python "$python" "$env" || return
    uv pip install --quiet --python "$env_python" \
        --constraint "$root/constraints.txt" "${packages[@]}"
}

with_pip() {
    if ! { is_right_python "$env_python" && "$env_python" -m pip --version; } >/dev/null 2>&1
    then
        base=$(command -v "python$python") || base=$(command -v python3)
        is_right_python "$base" || {
            echo "This machine has no Python $python and uv could not bring one." >&2
            return 1
        }
        "$base" -m venv --clear "$env" || return
    fi
    "$env_python" -m pip install --quiet --constraint "$root/constraints.txt" "${packages[@]}"
}

before=$(bash -c "$list")
later=$(sed -n 's/ \*$//p' <<<"$before")
began=${EPOCHREALTIME:-$SECONDS}
if ! with_uv; then
    echo "uv did not do it; trying pip." >&2
    with_pip
fi
# Written aside, as a half would tell what is ours for somebody's.
bash -c "$list" | sed 's/ \*$//' | grep -vxF -e "$later" >"$env/given.new"
mv "$env/given.new" "$env/given.txt"
if [ "$(sed 's/ \*$//' <<<"$before")" != "$(bash -c "$list" | sed 's/ \*$//')" ]; then
    # What an image with these packages saves.
    awk -v then="${began/,/.}" -v now="${EPOCHREALTIME:-$SECONDS}" \
        -v so_far="$(cat "$env/took.txt" 2>/dev/null || true)" \
        'BEGIN { sub(",", ".", now); printf "%.1f\n", so_far + now - then }' >"$env/took.new"
    mv "$env/took.new" "$env/took.txt"
fi

# What engines and people install with pip afterwards comes from the same index, one pip at a time.
if [ -n "$index" ]; then
    printf '[global]\nindex-url = %s\n' "$index" >"$env/pip.conf"
    [ -z "$trusted" ] || printf 'trusted-host = %s\n' "$trusted" >>"$env/pip.conf"
else
    rm -f "$env/pip.conf"
fi
for packages in "$env"/lib/python3*/site-packages; do
    printf '%s' "$one_pip" >"$packages/spotcluster_one_pip.py"
    echo 'import spotcluster_one_pip' >"$packages/spotcluster_one_pip.pth"
done
