"""Choosing a template and a key from a config; secrets stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from spotcluster import config, files
from spotcluster.errors import ConfigError, UsageError

TWO = """\
[key k]
KEY_LOCATION = /keys/k
[cluster small]
KEYNAME = k
NODE_INSTANCE_TYPE = c5.large
[cluster large]
EXTENDS = small
CLUSTER_SIZE = 9
"""


def test_without_a_name_the_default_template_is_chosen() -> None:
    loaded = config.load_text(f"[global]\nDEFAULT_TEMPLATE = Large\n{TWO}", "f")
    assert loaded.template().name == "large"
    assert loaded.template("small").name == "small"


def test_without_a_default_the_only_template_is_chosen() -> None:
    assert config.load_text(TWO.partition("[cluster large]")[0], "f").template().name == "small"


def test_without_a_default_one_of_several_must_be_named() -> None:
    with pytest.raises(
        UsageError, match=r"several cluster templates.*Choose one with -c: small, l"
    ):
        config.load_text(TWO, "f").template()


def test_unknown_template_names_the_nearest_and_all() -> None:
    with pytest.raises(UsageError) as caught:
        config.load_text(TWO, "f").template("smal")
    assert str(caught.value) == (
        "There is no cluster template 'smal' in the config. Did you mean 'small'?"
        " The templates there are: small, large."
    )
    assert not isinstance(caught.value, ConfigError)


@pytest.mark.parametrize("wanted", [None, "x"])
def test_who_had_no_config_was_told_of_no_templates_only(wanted: str | None) -> None:
    with pytest.raises(
        UsageError, match=r"There is no cluster template.*`spotcluster config init`"
    ):
        config.empty().template(wanted)
    without = config.empty().model_copy(update={"path": Path("/a/config")})
    with pytest.raises(UsageError, match=r"in /a/config.*`spotcluster help config`"):
        without.template(wanted)


def test_key_of_a_template_is_the_one_of_its_section() -> None:
    loaded = config.load_text(TWO, "f")
    template = loaded.template("small")
    assert template.key_location == Path("/keys/k")
    other = template.with_overrides(keyname="other")
    assert loaded.with_key(other).key_location == files.key_file("other")
    assert loaded.with_key(other.with_overrides(keyname="k")).key_location == Path("/keys/k")


SECRET = "wJalrXUtnFEMIK7MDENG"
WITH_SECRETS = f"""\
[aws info]
AWS_ACCESS_KEY_ID = AKIA{SECRET}
AWS_SECRET_ACCESS_KEY = {SECRET}
AWS_SESSION_TOKEN = {SECRET}
AWS_PROXY_PASS = {SECRET}
"""


def test_secrets_work_and_are_never_shown() -> None:
    loaded = config.load_text(WITH_SECRETS, "f")
    assert loaded.aws.secret_access_key is not None
    assert loaded.aws.secret_access_key.get_secret_value() == SECRET
    shown = [repr(loaded), str(loaded), loaded.model_dump_json(), str(loaded.model_dump())]
    shown += [repr(loaded.aws), f"{loaded.aws.access_key_id!r}"]
    assert not [one for one in shown if SECRET in one]


def test_a_file_with_secrets_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(WITH_SECRETS)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match=f"can be read by other users; run `chmod 600 {path}`"):
        config.load(path)
    path.write_text(f"{WITH_SECRETS}[clutser x]\n")
    assert len(config.examine(path)[1]) == 2  # `config check` stopped at the mode
    path.write_text(WITH_SECRETS)
    path.chmod(0o600)
    assert config.load(path).aws.secret_access_key is not None


@pytest.mark.parametrize(
    "wrong",
    [
        f"AWS_SECRET_ACCESS_KEY = {SECRET}\n",
        f"AWS_SECRET = {SECRET}\n",
        f"{SECRET}\n",
        f"AWS_ACCESS_KEY_ID\u00a0x = {SECRET}\n",
        f"AWS_SESSION_TOKEN = {SECRET}\u200b\n",
        "AWS_REGION_NAME = x\n",
        f"[plugin p]\nSETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster\npassword = {SECRET}\n",
    ],
)
def test_no_problem_shows_a_secret(wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load_text(WITH_SECRETS + wrong, "f")
    error: BaseException | None = caught.value
    while error:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__


def test_wrong_value_of_a_setting_that_sounds_secret_is_not_shown(spotcluster_home: Path) -> None:
    folder = files.private_dir("plugins")
    files.write_private(
        folder / "mine.py",
        "from spotcluster.plugins.base import Plugin\n"
        "class Mine(Plugin):\n    token_number: int\n    port: int\n",
    )
    with pytest.raises(ConfigError) as caught:
        config.load_text("[plugin p]\nSETUP_CLASS=mine.Mine\ntoken_number = s3\nport = p4\n", "f")
    assert caught.value.problems == (
        "f:3: [plugin p] TOKEN_NUMBER: the value (not shown) is not a whole number.",
        "f:4: [plugin p] PORT: 'p4' is not a whole number.",
    )


def test_files_of_plugins_are_beside_the_file_that_has_the_section(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "needed.txt").write_text("numpy\n")
    (tmp_path / "team" / "common").write_text(
        "[plugin p]\nSETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller\n"
        "PACKAGES = -r needed.txt\n"
    )
    path = tmp_path / "config"
    path.write_text(f"[global]\nINCLUDE = {tmp_path}/team/common\n")
    path.chmod(0o600)
    read = config.load(path)
    assert read.plugins["p"].settings["packages"] == f"-r {tmp_path}/team/needed.txt"
    assert read.folder_of("plugin p") == tmp_path / "team"
    assert config.load(path, check_plugins=False).plugins["p"].settings == {
        "packages": "-r needed.txt"
    }


def test_file_of_a_plugin_that_is_not_there_is_told_with_all_else_that_is_wrong() -> None:
    with pytest.raises(ConfigError) as caught:
        config.load_text(
            "[plugin p]\nSETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller\n"
            "PACKAGES = -r /no/such.txt\nINDEX_URL = pypi\n",
            "f",
        )
    assert caught.value.problems == (
        "f:3: [plugin p] PACKAGES: '/no/such.txt' does not exist.",
        "f:4: [plugin p] INDEX_URL: 'pypi' must be a URL that begins with https:// or http://,"
        " without spaces.",
    )
