#!/bin/bash
# apt's DPkg::Lock::Timeout has `apt-get install` wait for who else installs something. One expects the
# same of `apt-get update`, which comes before it in every script: it gives up at once, as that lock is
# another one (of the lists), which the setting does not hold for.
#
# Source: apt.conf(5), DPkg::Lock::Timeout ("the dpkg frontend lock"); apt-pkg/acquire.cc, Setup.
# What the product does: templates/system_packages.sh tries again; tests/machines/test_product_people.py.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v apt-get >/dev/null || { echo "this needs apt" && exit 0; }
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
own=(-o "Dir::State=$work/state" -o "Dir::Cache=$work/cache" -o Dir::Etc::sourcelist=/dev/null
    -o Dir::Etc::sourceparts=- -o Debug::NoLocking=false -o DPkg::Lock::Timeout=30)

apt-get --version | head -n 1
python3 - "$work" <<'PROGRAM' &
import fcntl, pathlib, sys, time
work = pathlib.Path(sys.argv[1])
with (work / "state/lists/lock").open("w") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    (work / "held").touch()
    time.sleep(4)
PROGRAM
until [ -e "$work/held" ]; do sleep 0.1; done
begin=$SECONDS status=0
LC_ALL=C apt-get "${own[@]}" update >"$work/said" 2>&1 || status=$?
took=$((SECONDS - begin))
wait
echo "expected: it waits the 4 s until the lock is free, and ends with 0"
echo "seen:     it ended with $status after $took s: $(grep -m 1 '^E:' "$work/said" || true)"
[ "$status" != 0 ] && [ "$took" -lt 3 ] && grep -q 'Could not get lock' "$work/said"
