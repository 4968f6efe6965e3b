"""What is sent to nodes for the names by which they know one another."""

from __future__ import annotations

import pytest

from spotcluster import templates


@pytest.mark.parametrize("name", ["hosts.sh", "names.sh"])
def test_hosts_file_has_one_lock_and_it_is_where_root_alone_writes(name: str) -> None:
    """names.sh had one of its own in /run/lock, where anybody may put a link in its place."""
    (lock,) = [line.strip() for line in templates.read(name).splitlines() if "exec 9>/" in line]
    assert lock == "exec 9>/etc/spotcluster/hosts.lock"
