# Make ~/.spotcluster/env with $python and install $packages into it, within $constraints.
# Given: python=3.12 index=URL-or-empty extra=(URLs) trusted=(hosts without TLS) packages=(...)
#        hashed=LINES, each with its hashes, constraints=LINES pinned=LINES one_pip=PROGRAM
#        list=SCRIPT, which is packages.sh
#        conda=LOCK-or-empty rattler=REQUIREMENT conda_install=PROGRAM conda_activated=PROGRAM
#        perhaps drops_conda=1: no lock, and what one has brought before is to go
umask 077
. layout.sh
mkdir -p "$root"
chmod 700 "$root"
printf '%s\n' "$hashed" >"$root/hashed.txt"
# The certificates of the system are the ones that a company's proxy or mirror is in.
export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 UV_NO_PROGRESS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
PATH=$root/uv/bin:$PATH
# pip and uv alike, whichever command.
[ -z "$index" ] || export PIP_INDEX_URL=$index UV_DEFAULT_INDEX=$index
[ "${#extra[@]}" = 0 ] || export PIP_EXTRA_INDEX_URL="${extra[*]}" UV_INDEX="${extra[*]}"
[ "${#trusted[@]}" = 0 ] || export PIP_TRUSTED_HOST="${trusted[*]}"
export PIP_NO_INPUT=1

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

bring_rattler() {
    rattler_python=$root/conda/bin/python
    if command -v uv >/dev/null || bring_uv; then
        [ -x "$rattler_python" ] || uv venv --quiet --clear --python '>=3.10' "$root/conda" &&
            uv pip install --quiet --python "$rattler_python" "$rattler" && return
    fi
    echo "uv did not bring $rattler, which installs what is conda's; trying pip." >&2
    python3 -m venv --clear "$root/conda" && "$rattler_python" -m pip install --quiet "$rattler"
}

note_variables() {
    local site
    for site in "$env"/lib/python3*/site-packages; do
        rm -f "$site/spotcluster_conda.pth" # what is told is how it is without ours
        printf '%s' "$conda_activated" >"$site/spotcluster_conda.py"
    done
    env -i HOME="$HOME" PATH="${env_python%/*}:/usr/local/bin:/usr/bin:/bin" CONDA_SHLVL=1 \
        CONDA_PREFIX="$env" CONDA_DEFAULT_ENV="$env" bash -c '
            for one in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
                [ ! -e "$one" ] || . "$one" >/dev/null
            done
            exec "$CONDA_PREFIX/bin/python" -I "$1"/spotcluster_conda.py' - "$site" </dev/null
    echo 'import spotcluster_conda' >"$site/spotcluster_conda.pth"
}

give_up_env() { # at once, as one that was half removed would be taken for whole
    [ ! -e "$env" ] || mv "$env" "$root/env.gone"
    rm -rf "$root/env.gone"
}

bring_conda() {
    # What is no environment of conda's cannot become one, and a half is like no other half.
    if [ ! -d "$env/conda-meta" ] || [ -e "$root/conda-begun" ] || ! is_right_python "$env_python"; then
        give_up_env
    elif [ "$(cat "$env/conda.lock" 2>/dev/null)" = "$conda" ]; then
        return 0
    fi
    bring_rattler
    : >"$root/conda-begun"
    printf '%s\n' "$conda" >"$root/conda.lock"
    "$rattler_python" -I -c "$conda_install" "$root/conda.lock" "$env"
    rm -f "$env"/lib/python3*/EXTERNALLY-MANAGED # by us
    note_variables
    mv "$root/conda.lock" "$env/conda.lock"
    rm -rf "$root/conda-begun" "$root/conda-packages"
}

# Passes on those constraints that are not of what conda has brought: its versions stay.
not_condas='
import glob, json, re, sys

def canonical(name):
    return re.sub("[-_.]+", "-", name).lower()

info, theirs = re.compile("(?m)/site-packages/([^/]+?)-[^-/]+[.](?:dist|egg)-info(?:/|$)"), set()
for record in glob.glob(sys.argv[1] + "/conda-meta/*.json"):
    with open(record) as file:
        theirs |= {canonical(one) for one in info.findall("\n".join(json.load(file)["files"]))}
for line in sys.stdin:
    if canonical(line.partition("==")[0].strip()) not in theirs:
        sys.stdout.write(line)
'

with_uv() {
    command -v uv >/dev/null || bring_uv || return
    is_right_python "$env_python" || uv venv --quiet --clear --python "$python" "$env" || return
    bring uv pip install --quiet --python "$env_python"
}

bring() { # the command; what has hashes first, and nothing that has none with it
    if [ -n "$hashed" ]; then
        "$@" --require-hashes -r "$root/hashed.txt" || return
    fi
    "$@" --constraint "$root/constraints.txt" "${packages[@]}"
}

with_pip() {
    if [ -d "$env/conda-meta" ]; then # is not to be made anew, whatever it lacks
        "$env_python" -m pip --version >/dev/null 2>&1 || "$env_python" -m ensurepip >/dev/null || return
    elif ! { is_right_python "$env_python" && "$env_python" -m pip --version; } >/dev/null 2>&1
    then
        base=$(command -v "python$python") || base=$(command -v python3)
        is_right_python "$base" || {
            echo "This machine has $("$base" --version 2>&1), not Python $python, and uv could not bring" \
                "that, which is at github.com/astral-sh/python-build-standalone: let the nodes reach it," \
                "say in the image's /etc/uv/uv.toml where there is a mirror (python-install-mirror)," \
                "choose an image that has Python $python, or PYTHON = a version that it has." >&2
            return 1
        }
        "$base" -m venv --clear "$env" || return
    fi
    bring "$env_python" -m pip install --quiet
}

rm -rf "$root/env.gone"
before=$(bash -c "$list")
later=$(sed -n 's/ \*$//p' <<<"$before")
began=${EPOCHREALTIME:-$SECONDS}
if [ -n "$conda" ]; then
    bring_conda
elif [ -d "$env/conda-meta" ] && { [ "${drops_conda-}" = 1 ] || ! is_right_python "$env_python"; }; then
    give_up_env # no environment that uv would clear
fi
if [ -d "$env/conda-meta" ]; then
    constraints=$("$env_python" -I -c "$not_condas" "$env" <<<"$constraints")
fi
printf '%s\n' "$constraints" "$pinned" >"$root/constraints.txt"
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
{
    echo '[global]'
    [ -z "$index" ] || echo "index-url = $index"
    [ "${#extra[@]}" = 0 ] || echo "extra-index-url = ${extra[*]}"
    [ "${#trusted[@]}" = 0 ] || echo "trusted-host = ${trusted[*]}"
} >"$env/pip.conf"
for packages in "$env"/lib/python3*/site-packages; do
    printf '%s' "$one_pip" >"$packages/spotcluster_one_pip.py"
    echo 'import spotcluster_one_pip' >"$packages/spotcluster_one_pip.pth"
done
