"""Profiles that log in: what is said when the login has expired."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from spotcluster.aws import login
from spotcluster.aws.calls import call
from spotcluster.aws.session import Session
from spotcluster.errors import CredentialsError, UsageError

START = "https://corp.example/start"
PROFILES = f"""
[profile work]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = dev
[sso-session corp]
sso_start_url = {START}
sso_region = eu-west-1
[profile "old one"]
sso_start_url = {START}
sso_region = eu-west-1
sso_account_id = 123456789012
sso_role_name = dev
[profile assumed]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = work
[profile circle]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = circle
[profile console]
login_session = arn:aws:iam::123456789012:user/ann
[profile keys]
aws_access_key_id = a
aws_secret_access_key = b
"""


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Take every other source of credentials away."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").write_text(PROFILES)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for place in ("tokens.SSOTokenProvider", "credentials.SSOProvider"):
        # They look below the home that there was when botocore was imported.
        monkeypatch.setattr(f"botocore.{place}._SSO_TOKEN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def expired(home: Path) -> None:
    """Write what `aws sso login` wrote long ago."""
    folder = home / "cache"
    folder.mkdir()
    token = {
        "startUrl": START,
        "region": "eu-west-1",
        "accessToken": "x",
        "expiresAt": "2020-01-01T00:00:00Z",
    }
    for key in ("corp", START):
        name = hashlib.sha1(key.encode()).hexdigest()
        (folder / f"{name}.json").write_text(json.dumps(token))


@pytest.mark.parametrize("before", [True, False], ids=["expired", "never made"])
@pytest.mark.parametrize(
    ("profile", "command"),
    [
        ("work", "aws sso login --profile work"),
        ("old one", "aws sso login --profile 'old one'"),
        ("assumed", "aws sso login --profile work"),
    ],
)
def test_login_that_has_expired_says_the_command_that_renews_it(
    home: Path, profile: str, command: str, before: bool
) -> None:
    if before:
        expired(home)
    with pytest.raises(CredentialsError) as caught:
        call(Session("eu-west-1", profile=profile).ec2.describe_regions)
    assert caught.value.message.startswith(f"The AWS login of the profile '{profile}' has expired")
    assert caught.value.hint == f"Run `{command}`, then repeat."


def test_profile_of_the_environment_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work")
    with pytest.raises(CredentialsError, match="aws sso login --profile work"):
        call(Session("eu-west-1").ec2.describe_regions)


def test_unknown_profile_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UsageError, match="no profile 'nobody'"):
        Session("eu-west-1")


@pytest.mark.parametrize(
    ("profile", "command"),
    [("console", "aws login --profile console"), ("keys", ""), ("circle", ""), ("nobody", "")],
)
def test_command_that_logs_a_profile_in(profile: str, command: str) -> None:
    assert login.command(profile) == command
