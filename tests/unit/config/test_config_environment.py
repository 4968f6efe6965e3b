"""What the environment says in place of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from spotcluster import config
from spotcluster.errors import ConfigError

FILE = """\
[aws info]
AWS_REGION_NAME = eu-west-1
AWS_PROFILE = work
[key k]
[cluster c]
KEYNAME = k
NODE_INSTANCE_TYPE = c5.large
[cluster d]
EXTENDS = c
REGION = local
"""
KEYS = "[aws info]\nAWS_ACCESS_KEY_ID = a\nAWS_SECRET_ACCESS_KEY = b\nAWS_PROFILE = p\n"


def load(text: str, **environ: str) -> config.Config:
    return config.load_text(text, "f", environ=environ)


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"])
def test_region_of_the_environment_wins_over_that_of_aws_info(name: str) -> None:
    loaded = load(FILE, **{name: "us-west-2"})
    assert (loaded.aws.region, loaded.template("c").region) == ("us-west-2", "us-west-2")


def test_region_that_a_template_names_itself_stays() -> None:
    assert load(FILE, AWS_REGION="us-west-2").template("d").region == "local"


def test_of_two_regions_the_one_that_the_aws_tools_prefer_holds() -> None:
    loaded = load(FILE, AWS_DEFAULT_REGION="us-west-1", AWS_REGION="us-west-2")
    assert loaded.aws.region == "us-west-2"


@pytest.mark.parametrize("name", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_profile_of_the_environment_wins_over_profile_and_keys_of_the_file(name: str) -> None:
    assert load(FILE, **{name: "home"}).aws.profile == "home"
    aws = load(KEYS, **{name: "home"}).aws
    assert (aws.profile, aws.access_key_id, aws.secret_access_key) == ("home", None, None)


def test_keys_of_the_environment_win_and_are_left_to_boto3() -> None:
    aws = load(KEYS, AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="y", AWS_PROFILE="home").aws
    assert (aws.profile, aws.access_key_id, aws.secret_access_key) == (None, None, None)


def test_without_an_environment_the_file_holds() -> None:
    aws = load(KEYS, AWS_PROFILE="", AWS_REGION="", AWS_ACCESS_KEY_ID="", HOME="/h").aws
    assert aws.access_key_id is not None
    assert (aws.profile, aws.region) == ("p", None)


def test_wrong_region_of_the_environment_names_the_variable() -> None:
    with pytest.raises(ConfigError) as caught:
        load(FILE, AWS_REGION="europe")
    assert caught.value.problems == (
        "$AWS_REGION: [aws info] AWS_REGION_NAME: 'europe' is not a region, as in us-east-1; or"
        " 'local', this computer.",
    )


def test_files_are_read_with_the_environment_and_so_is_no_file(
    spotcluster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert config.load_if_there().aws.region == "us-west-2"
    (spotcluster_home / "config").write_text(FILE)
    assert config.load().aws.region == "us-west-2"


def test_home_and_config_of_the_environment_are_in_that_order(
    spotcluster_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spotcluster_home / "config").write_text(FILE)
    (tmp_path / "other").write_text(FILE)
    (tmp_path / "named").write_text(FILE)
    assert config.load().path == spotcluster_home / "config"
    monkeypatch.setenv("SPOTCLUSTER_CONFIG", str(tmp_path / "other"))
    assert config.load().path == tmp_path / "other"
    assert config.load(tmp_path / "named").path == tmp_path / "named"
