"""User data as a host reads it."""

from __future__ import annotations

import gzip
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotcluster.local.host.userdata import UserData, parse

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n"
CONFIG = f"""\
#cloud-config
ssh_keys:
  ed25519_private: |
{"".join(f"    {line}" for line in KEY.splitlines(keepends=True))}
  ed25519_public: ssh-ed25519 AAAA
ssh_authorized_keys:
  - ssh-ed25519 BBBB me
"""


def multipart(*parts: MIMEText) -> bytes:
    message = MIMEMultipart()
    for part in parts:
        message.attach(part)
    return message.as_bytes()


@pytest.mark.parametrize(
    "raw",
    [
        CONFIG.encode(),
        gzip.compress(CONFIG.encode()),
        multipart(MIMEText("echo hello", "x-shellscript"), MIMEText(CONFIG, "cloud-config")),
        multipart(MIMEText(CONFIG.partition("\n")[2], "cloud-config")),
        gzip.compress(multipart(MIMEText(CONFIG, "cloud-config"))),
    ],
    ids=["plain", "gzip", "multipart", "multipart without first line", "gzip of multipart"],
)
def test_keys_are_found_in_every_form(raw: bytes) -> None:
    data = parse(raw)
    assert data.host_key == KEY
    assert data.authorized_keys == ("ssh-ed25519 BBBB me",)


FIRST = CONFIG.replace("abc", "first").replace("BBBB", "CCCC")


def keys_of(*texts: str, **headers: str) -> tuple[str, ...]:
    """Return the keys that parts of these texts leave; headers are the last part's."""
    parts = [MIMEText(text, "cloud-config") for text in texts]
    for name, value in headers.items():
        parts[-1][name.replace("_", "-")] = value
    return tuple(key.split()[1] for key in parse(multipart(*parts)).authorized_keys)


def test_a_later_part_replaces_an_earlier_ones_keys() -> None:
    data = parse(multipart(MIMEText(FIRST, "cloud-config"), MIMEText(CONFIG, "cloud-config")))
    assert data.host_key == KEY
    assert data.authorized_keys == ("ssh-ed25519 BBBB me",)
    other = "#cloud-config\nssh_keys: {rsa_private: x}\n"
    assert parse(multipart(*(MIMEText(t, "cloud-config") for t in (FIRST, other)))).host_key == ""


def test_parts_are_put_together_as_they_say() -> None:
    appending = "list(append)+dict(no_replace, recurse_list)+str()"
    assert keys_of(FIRST, CONFIG, Merge_Type=appending) == ("CCCC", "BBBB")
    assert keys_of(FIRST, CONFIG, X_Merge_Type="list(prepend)+dict(recurse_array)") == (
        *("BBBB", "CCCC"),
    )
    assert keys_of(FIRST, f"{CONFIG}merge_how: {appending}\n") == ("CCCC", "BBBB")
    settings = "merge_type:\n- {name: list, settings: [append]}\n- {name: dict, settings: []}\n"
    assert keys_of(FIRST, CONFIG + settings) == ("CCCC",)
    assert keys_of(FIRST, f"{CONFIG}merge_how: list(append)\n") == ("CCCC",)
    assert keys_of(FIRST, "#cloud-config\nssh_authorized_keys: null\n") == ()


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (f"\n \n{CONFIG}".encode(), 1),
        (CONFIG.replace("#cloud-config", "#Cloud-Config").encode(), 1),
        (CONFIG.replace("#cloud-config", "#cloud-config-archive").encode(), 0),
        (CONFIG.replace("\n  - ssh", " ssh").encode(), 0),  # a string is no list of keys
        (multipart(MIMEText(CONFIG, "x-shellscript")), 0),
        (multipart(MIMEText(CONFIG, "plain")), 1),
        (f"Content-Type: text/cloud-config\n\n{CONFIG}".encode(), 0),
        (f"Mime-Version: 1.0\nContent-Type: text/cloud-config\n\n{CONFIG}".encode(), 1),
    ],
)
def test_keys_are_those_that_cloud_init_would_take(raw: bytes, found: int) -> None:
    assert len(parse(raw).authorized_keys) == found


def test_commands_are_named_and_left_out() -> None:
    data = parse(b"#cloud-config\nruncmd: [reboot]\npackages: [git]\n")
    assert data == UserData(ignored=("runcmd", "packages"))
    assert parse(b"#!/bin/sh\nrm -rf /\n").ignored == ("#!/bin/sh",)


def test_no_user_data_is_no_user_data() -> None:
    assert parse(b"") == UserData()


@given(st.one_of(st.binary(), st.text().map(lambda text: f"#cloud-config\n{text}".encode())))
def test_broken_user_data_boots_all_the_same(raw: bytes) -> None:
    assert isinstance(parse(raw), UserData)
