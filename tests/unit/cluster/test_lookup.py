"""In which regions a cluster is looked for, and where one goes that names none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from spotcluster import config as configs
from spotcluster import files
from spotcluster.aws.calls import Patience, behind
from spotcluster.aws.session import Session
from spotcluster.cluster import lookup
from spotcluster.cluster.status import listing
from spotcluster.errors import CredentialsError

TWO = """
[key mykey]

[cluster here]
KEYNAME = mykey
REGION = local
NODE_INSTANCE_TYPE = c5.large

[cluster anywhere]
KEYNAME = mykey
NODE_INSTANCE_TYPE = c5.large
"""


@pytest.fixture(autouse=True)
def no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"):
        monkeypatch.delenv(name, raising=False)


def test_template_without_a_region_went_to_the_region_of_another_template() -> None:
    config = configs.load_text(TWO, "config")
    assert config.template("anywhere").region is None
    assert lookup.default_region(config) == "us-east-1"


def test_cluster_of_a_template_without_a_region_was_found_with_r_only() -> None:
    config = configs.load_text(TWO, "config")
    assert lookup.regions(config, None) == ["local", "us-east-1"]
    named = configs.load_text(f"{TWO}REGION = eu-west-1\n", "config")
    assert lookup.regions(named, None) == ["local", "eu-west-1"]


def test_cluster_that_was_started_with_r_is_found_without(spotcluster_home: Path) -> None:
    for region, name in (("eu-west-1", "mycluster"), ("eu-west-2", "other")):
        files.write_private(files.known_hosts_file(region, name), "")
    config = configs.load_text(TWO, "config")
    assert lookup.regions(config, None, "mycluster") == ["local", "us-east-1", "eu-west-1"]
    assert lookup.regions(config, None, "../mycluster") == ["local", "us-east-1"]
    assert lookup.regions(config, "local", "mycluster") == ["local"]
    assert spotcluster_home.is_dir()


def test_environment_names_the_region_of_what_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert lookup.default_region(configs.empty()) == "eu-west-1"
    assert lookup.regions(configs.empty(), None) == ["eu-west-1"]
    assert lookup.regions(configs.empty(), "us-west-2") == ["us-west-2"]


def test_config_says_for_how_long_calls_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    text = "[aws info]\nTHROTTLE_TIMEOUT = 7\nanswer_timeout = 5\nSETTLE_TIMEOUT = 3\n"
    session = lookup.open_session(configs.load_text(text, "config"), "us-east-1")
    assert session.patience == Patience(throttled=7, unanswered=5, settle=3)
    assert behind(session.ec2.describe_regions).patience is session.patience


def test_region_of_the_aws_profile_goes_before_the_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "[default]\nregion = eu-west-3\n[profile work]\nregion = eu-north-1\n"
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert lookup.default_region(configs.empty()) == "eu-west-3"
    work = configs.load_text("[aws info]\nAWS_PROFILE = work\n", "config")
    assert lookup.default_region(work) == "eu-north-1"
    assert lookup.default_region(configs.load_text("[aws info]\nAWS_PROFILE = no\n", "c")) == (
        "us-east-1"
    )
    monkeypatch.setenv("AWS_REGION", "us-west-1")
    assert lookup.default_region(work) == "us-west-1"


def test_region_without_credentials_hid_the_clusters_of_the_others(
    monkeypatch: pytest.MonkeyPatch, spotcluster_home: Path
) -> None:
    def clusters(session: Session) -> list[SimpleNamespace]:
        if session.region == "eu-west-1":
            raise CredentialsError("There are no usable AWS credentials.")
        return [SimpleNamespace(name="mine")]

    for region, name in (("eu-west-1", "far"), ("us-east-1", "mine"), ("us-east-1", "ended")):
        files.write_private(files.known_hosts_file(region, name), "")
    monkeypatch.setattr(listing, "clusters", clusters)
    places = [SimpleNamespace(region=region) for region in ("eu-west-1", "us-east-1")]
    found, refused = listing.everywhere(cast(list[Session], places))
    assert ([one.name for one in found], list(refused)) == (["mine"], ["eu-west-1"])
    # What others have ended is looked for no more; of what cannot be seen nothing is known.
    assert files.reached() == [("eu-west-1", "far"), ("us-east-1", "mine")]
    assert spotcluster_home.is_dir()
