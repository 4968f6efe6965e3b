"""User data: what cloud-init finds in it."""

from __future__ import annotations

import email
import gzip
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotcluster import ssh
from spotcluster.cluster.bringup import userdata
from spotcluster.errors import UsageError
from spotcluster.local.host import userdata as host

KEY = ssh.keys.generate()
SCRIPT = "#!/bin/bash\necho 'ä' > /tmp/x\n".encode()


def parts(raw: bytes) -> list[tuple[str, str | None, bytes]]:
    """Read multipart user data as cloud-init does: with Python's email."""
    message = email.message_from_bytes(gzip.decompress(raw))
    assert message.is_multipart()
    return [
        (part.get_content_type(), part.get_filename(), part.get_payload(decode=True))
        for part in message.walk()
        if not part.is_multipart()
    ]


def test_without_scripts_it_is_the_host_key_alone() -> None:
    raw = userdata.build(KEY)
    assert raw.startswith(b"#cloud-config\n")
    assert host.parse(raw).host_key.strip() == KEY.private.strip()


def test_scripts_are_parts_of_their_kind_in_order_and_the_host_key_is_the_last() -> None:
    found = parts(userdata.build(KEY, [("a b.sh", SCRIPT), ("c", b"#cloud-config\nx: 1\n")]))
    assert [(kind, name) for kind, name, _ in found] == [
        ("text/x-shellscript", "a b.sh"),
        ("text/cloud-config", "c"),
        ("text/cloud-config", "spotcluster-host-key"),
    ]
    assert found[0][2] == SCRIPT


def test_a_host_finds_its_key_among_the_parts() -> None:
    read = host.parse(userdata.build(KEY, [("a", SCRIPT)]))
    assert read.host_key.strip() == KEY.private.strip()
    assert read.ignored == ("#!/bin/bash",)


def test_key_of_a_users_part_does_not_replace_ours() -> None:
    theirs = b'#cloud-config\nssh_keys: {"ed25519_private": "theirs"}\n'
    assert host.parse(userdata.build(KEY, [("a", theirs)])).host_key.strip() == KEY.private.strip()


@given(st.binary(max_size=300))
def test_no_byte_of_a_script_is_changed_on_the_way(body: bytes) -> None:
    content = b"#!/bin/sh\n" + body
    assert parts(userdata.build(KEY, [("x", content)]))[0][2] == content


def test_same_scripts_and_key_are_the_same_user_data() -> None:
    assert userdata.build(KEY, [("a", SCRIPT)]) == userdata.build(KEY, [("a", SCRIPT)])


def test_what_compresses_well_may_be_longer_than_the_limit() -> None:
    assert len(userdata.build(KEY, [("a", b"#!/bin/sh\n" + b"echo x\n" * 5000)])) < userdata.LIMIT


def test_what_ec2_would_not_take_is_refused_with_its_size() -> None:
    noise = random.Random(0).randbytes(17_000)
    with pytest.raises(UsageError, match=r"USERDATA_SCRIPTS: a are \d+ bytes .* EC2 takes 16384"):
        userdata.build(KEY, [("a", b"#!/bin/sh\n" + noise)])


def test_scripts_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(SCRIPT)
    (tmp_path / "a").write_bytes(b"#cloud-boothook\n")
    assert userdata.read_scripts([tmp_path / "b", tmp_path / "a"]) == [
        ("b", SCRIPT),
        ("a", b"#cloud-boothook\n"),
    ]


@pytest.mark.parametrize("content", [b"", b"echo x\n", b" #!/bin/sh\n", b"\x1f\x8b"])
def test_file_that_cloud_init_would_pass_over_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UsageError, match="does not begin as anything that cloud-init knows"):
        userdata.read_scripts([tmp_path / "a"])


def test_script_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a cannot be read: No such file or directory"):
        userdata.read_scripts([tmp_path / "a"])
