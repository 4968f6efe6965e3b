"""`config init`: asked at a terminal, by flags elsewhere; checked against the local cloud's EC2."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import PROGRAM, cli
from terminal import Terminal

from spotcluster import config, local


@pytest.fixture(scope="module", autouse=True)
def cloud(module_cloud: local.Endpoint) -> local.Endpoint:
    return module_cloud


@pytest.fixture(autouse=True)
def here(in_module_cloud: local.Endpoint) -> None:
    """Use the module's cloud."""


def test_what_is_asked_is_refused_where_wrong_and_written_with_prices(tmp_path: Path) -> None:
    path = tmp_path / "config"
    terminal = Terminal([*PROGRAM, "-c", str(path), "config", "init"], columns=100)
    for question, answer in (
        ("Region", "locla\r"),
        ("Did you mean 'local'?", "local\r"),
        ("Instance type [c5.2xlarge]", "c5.lagre\r"),
        ("Did you mean 'c5.large'?", "c5.large\r"),
        ("Key pair [mykey]", "\r"),
        ("Nodes, the master included [3]", "0,5\r"),
        ("is not a number of nodes", "4\r"),
    ):
        assert terminal.see(question), terminal.screen
        terminal.type(answer)
    assert terminal.see("end the bill"), terminal.screen
    shown = terminal.screen
    assert terminal.close() == 0
    assert "4 x c5.large in local: $0.3400/h on demand, $" in shown
    assert "with spot workers" in shown
    assert "createkey mykey" in shown
    written = config.load(path).template()
    assert (written.region, written.keyname, written.cluster_size) == ("local", "mykey", 4)
    assert str(written.node_instance_type) == "c5.large"
    assert path.stat().st_mode & 0o777 == 0o600


def test_key_file_that_the_config_would_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config"
    words = ("-c", str(path), "-r", "local", "config", "init", "-K")
    assert "is a comment there" in cli(*words, str(tmp_path / "my #1.pem"), status=2)
    assert not path.exists()
    said = cli(*words, str(tmp_path / "my key.pem"))
    assert str(config.load(path).keys["mykey"].key_location) == str(tmp_path / "my key.pem")
    assert "key.pem'" in said  # one word, for a shell


def test_without_a_terminal_flags_say_it_and_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "config"
    words = ("-c", str(path), "-r", "local", "config", "init", "-k", "other", "-s", "2")
    said = cli(*words, "-i", "m5.large")
    assert "2 x m5.large in local" in said
    before = path.read_text()
    assert "KEYNAME = other" in before
    assert "stays as it is" in cli(*words, status=2)
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-r", "locl", "config", "init"), "Did you mean 'local'?"),
        (("-r", "local", "config", "init", "-i", "c5.lagre"), "Did you mean 'c5.large'?"),
        (("-r", "local", "config", "init", "-s", "none"), "is not a number of nodes"),
        (("-r", "local", "config", "init", "-k", "a]b"), "is not a name for a key pair"),
    ],
)
def test_what_is_wrong_writes_nothing(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    path = tmp_path / "config"
    assert said in cli("-c", str(path), *words, status=2)
    assert not path.exists()
