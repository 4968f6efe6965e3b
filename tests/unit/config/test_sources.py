"""INCLUDE: a config of several files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spotcluster import config
from spotcluster.errors import ConfigError, UsageError

TEMPLATE = "[key k]\n[cluster c]\nKEYNAME = k\nNODE_INSTANCE_TYPE = c5.large\n"

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    return list(caught.value.problems)


def test_template_of_an_included_file_is_there(write: Write) -> None:
    write("clusters", TEMPLATE)
    main = write("main", "[global]\nDEFAULT_TEMPLATE = c\nINCLUDE = clusters\n")
    assert config.load(main).template().node_instance_type == "c5.large"


def test_several_files_on_several_lines_home_and_variables(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TEAM", "ml")
    write("keys", "[key k]\n")
    write("ml/clusters", TEMPLATE.removeprefix("[key k]\n"))
    write("other", "[permission p]\nFROM_PORT = 1\nTO_PORT = 1\nCIDR_IP = 10.0.0.0/8\n")
    main = write("x/main", "[global]\nINCLUDE = ~/keys,\n  ../$TEAM/clusters  # ours\n  ../other\n")
    loaded = config.load(main)
    assert (list(loaded.keys), list(loaded.clusters)) == (["k"], ["c"])
    assert list(loaded.permissions) == ["p"]


def test_path_is_relative_to_the_file_that_it_stands_in(write: Write) -> None:
    write("deep/clusters", TEMPLATE)
    write("deep/all", "[global]\nINCLUDE = clusters\n")
    assert list(config.load(write("main", "[global]\nINCLUDE = deep/all\n")).clusters) == ["c"]


def test_path_is_relative_to_the_file_itself_where_a_link_leads_there(
    write: Write, tmp_path: Path
) -> None:
    write("real/clusters", TEMPLATE)
    main = write("real/main", "[global]\nINCLUDE = clusters\n")
    (tmp_path / "link").symlink_to(main)
    assert list(config.load(tmp_path / "link").clusters) == ["c"]


def test_pattern_means_every_file_that_fits_in_the_order_of_their_names(write: Write) -> None:
    write("conf.d/20", "[cluster c]\nCLUSTER_SIZE = 2\n")
    write("conf.d/10", f"{TEMPLATE}CLUSTER_SIZE = 1\n")
    loaded = config.load(write("main", "[global]\nINCLUDE = conf.d/*\n"))
    assert loaded.template().cluster_size == 2


def test_of_a_key_that_two_files_say_the_later_one_holds_as_in_starcluster(write: Write) -> None:
    write("a", "[cluster c]\nCLUSTER_SIZE = 2\nSPOT_BID = 1\n")
    write("b", "[cluster c]\nCLUSTER_SIZE = 3\n")
    main = write("main", f"[global]\nINCLUDE = a, b\n{TEMPLATE}CLUSTER_SIZE = 1\n")
    loaded = config.load(main)
    assert (loaded.template().cluster_size, loaded.template().spot_bid) == (3, 1.0)
    assert loaded.origins["cluster c"]["cluster_size"].source == str(main.parent / "b")


def test_circle_is_refused_where_it_closes(write: Write, tmp_path: Path) -> None:
    main = write("main", "[global]\nINCLUDE = a\n")
    write("a", "\n[global]\nINCLUDE = ./b\n")
    write("b", "[global]\nINCLUDE = main\n")
    circle = " -> ".join(str(tmp_path / name) for name in ("main", "a", "b", "main"))
    (found,) = problems(main)
    assert found.startswith(f"{tmp_path / 'b'}:2: [global] INCLUDE: the files include one another")
    assert found.endswith(f"in a circle: {circle}.")


def test_file_that_includes_itself_through_a_link_is_refused(write: Write, tmp_path: Path) -> None:
    main = write("main", "[global]\nINCLUDE = link\n")
    (tmp_path / "link").symlink_to(main)
    assert "in a circle" in problems(main)[0]


def test_file_that_two_others_include_is_read_once(write: Write) -> None:
    write("keys", "[key k]\n[key k]\n")
    write("a", "[global]\nINCLUDE = keys\n")
    write("b", "[global]\nINCLUDE = keys\n")
    assert len(problems(write("main", "[global]\nINCLUDE = a, b, keys\n"))) == 1


def test_endless_chain_is_refused(write: Write) -> None:
    for number in range(30):
        write(f"f{number}", f"[global]\nINCLUDE = f{number + 1}\n")
    (found,) = problems(write("main", "[global]\nINCLUDE = f0\n"))
    assert found.endswith("more than 20 files include one another.")


def test_problems_name_the_right_file_and_line_in_the_order_of_reading(
    write: Write, tmp_path: Path
) -> None:
    write("a", "[cluster c]\nSPOT_BID = much\n\n[zzz]\n")
    main = write("main", f"[global]\nINCLUDE = a\n{TEMPLATE}CLUSTER_SIZE = 0\nKEYNAM = k\n")
    found = [one.partition(": ")[0] for one in problems(main)]
    assert found == [f"{main}:7", f"{main}:8", f"{tmp_path}/a:2", f"{tmp_path}/a:4"]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("nowhere", "'nowhere' cannot be read: No such file or directory."),
        (".", "'.' cannot be read: Is a directory."),
        ("x" * 300, "cannot be read: File name too long."),
        ("none/*.ini", "there is no file like 'none/*.ini'."),
        ("~nobody-here/x", "'~nobody-here/x' begins with the home of a user who does not exist"),
        ("$NO_SUCH/x", "'$NO_SUCH/x' uses the variable $NO_SUCH, which is not set."),
        ("https://example.org/c", "is a URL; fetch the file, look at it, and include the copy."),
    ],
)
def test_include_that_leads_nowhere(write: Write, item: str, said: str) -> None:
    main = write("main", f"[global]\nINCLUDE = {item}\n[global]\n")
    found = problems(main)
    assert found[0].startswith(f"{main}:2: [global] INCLUDE: ")
    assert said in found[0]
    assert len(found) == 2  # and what is wrong besides


def test_included_file_that_is_not_text_is_a_problem_with_its_line(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"[global]\n# caf\xe9\n")
    found = problems(write("main", "[global]\nINCLUDE = a\n"))
    assert found == [f"{tmp_path / 'a'}:2: this line is not UTF-8 text."]


@pytest.mark.parametrize("key", ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
def test_included_file_with_secrets_that_others_can_read_is_refused(write: Write, key: str) -> None:
    secrets = write("secrets", f"[aws info]\nAWS_ACCESS_KEY_ID = a\n{key} = s3cret\n")
    main = write("main", "[global]\nINCLUDE = secrets\n")
    secrets.chmod(0o644)
    with pytest.raises(UsageError, match=r"secrets:3: .* can be read by other users") as refused:
        config.load(main)
    assert "s3cret" not in str(refused.value)


def test_secrets_may_be_in_a_file_of_their_own(write: Write) -> None:
    secrets = write("s", "[aws info]\nAWS_ACCESS_KEY_ID = a\nAWS_SECRET_ACCESS_KEY = b\n")
    secrets.chmod(0o600)
    main = write("main", "[global]\nINCLUDE = s\n[aws info]\nAWS_REGION_NAME = eu-west-1\n")
    main.chmod(0o644)
    loaded = config.load(main)
    assert loaded.aws.access_key_id is not None
    assert loaded.aws.region == "eu-west-1"


@pytest.mark.usefixtures("held_to_modes")
def test_included_file_that_cannot_be_read_is_named(write: Write) -> None:
    write("a", "").chmod(0)
    main = write("main", "[global]\nINCLUDE = a\n")
    assert f"{main}:2: [global] INCLUDE: 'a' cannot be read: Permission denied." in problems(main)
