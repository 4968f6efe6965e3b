"""Make the environment of a lock of conda's, or change one into it. Arguments: the lock, where."""

import asyncio
import os
import sys
from pathlib import Path

from rattler import Client, LockFile, Subdir, install


def _main() -> int:
    lock, place = LockFile.from_path(Path(sys.argv[1])), Path(sys.argv[2])
    own = str(Subdir.current())
    environment = lock.default_environment()
    assert environment is not None
    for platform in environment.platforms():
        if platform.name == own:
            records = environment.conda_repodata_records_for_platform(platform)
            break
    else:
        names = ", ".join(one.name for one in environment.platforms())
        sys.stderr.write(
            f"conda: environment.yml was solved for {names}, and this machine is {own}: write"
            f" `platforms: [{own}]` into the file, which then says what cannot be had\n"
        )
        return 1
    try:
        # With the logins of $NETRC, where there are any; the lock has addresses and hashes.
        client = Client.default_client()
        cache = place.parent / "conda-packages"
        asyncio.run(
            install(
                records or [],
                place,
                cache_dir=cache,
                client=client,
                show_progress=False,
                execute_link_scripts=True,  # as conda does
            )
        )
    except Exception as error:  # noqa: BLE001 - told in one line, whatever it is
        sys.stderr.write(f"conda: {' '.join(str(error).split())}\n")
        return 1
    return 0


_status = _main()
sys.stdout.flush()
sys.stderr.flush()
os._exit(_status)  # threads of the library may run still, which Python's own end does not bear
