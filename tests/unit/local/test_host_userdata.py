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


def test_a_later_part_overrides_the_host_key_and_adds_keys() -> None:
    first = CONFIG.replace("abc", "first").replace("BBBB", "CCCC")
    data = parse(multipart(MIMEText(first, "cloud-config"), MIMEText(CONFIG, "cloud-config")))
    assert data.host_key == KEY
    assert data.authorized_keys == ("ssh-ed25519 CCCC me", "ssh-ed25519 BBBB me")


def test_commands_are_named_and_left_out() -> None:
    data = parse(b"#cloud-config\nruncmd: [reboot]\npackages: [git]\n")
    assert data == UserData(ignored=("runcmd", "packages"))
    assert parse(b"#!/bin/sh\nrm -rf /\n").ignored == ("#!/bin/sh",)


def test_no_user_data_is_no_user_data() -> None:
    assert parse(b"") == UserData()


@given(st.one_of(st.binary(), st.text().map(lambda text: f"#cloud-config\n{text}".encode())))
def test_broken_user_data_boots_all_the_same(raw: bytes) -> None:
    assert isinstance(parse(raw), UserData)
