"""What an environment.yml asks conda for is read, or refused."""

from __future__ import annotations

import sys

import pytest
from conda_asked import asked
from conda_channels import MINOR

from spotcluster.plugins import conda


def test_channels_are_those_of_conda() -> None:
    given = ("conda-forge", "nodefaults", "bioconda/label/main", "https://c.example/x/", "defaults")
    found = asked("numpy", *given)
    assert found.channels == (
        "https://conda.anaconda.org/conda-forge",
        "https://conda.anaconda.org/bioconda/label/main",
        "https://c.example/x",
        "https://repo.anaconda.com/pkgs/main",
        "https://repo.anaconda.com/pkgs/r",
    )
    assert found.private == ("https://c.example/x",)
    assert asked("numpy").channels == ("https://conda.anaconda.org/conda-forge",)


def test_python_and_pip_alone_ask_nothing_of_conda() -> None:
    assert asked("python=3.12, pip>=24, pip: [numpy]", "x").specs == ()
    assert asked("python=3.12, pip, numpy", "x").specs == ("python=3.12", "pip", "numpy")


@pytest.mark.parametrize(
    "place", ["/srv/channel", "file:///srv/channel", "./x", "ftp://x/y", "a b"]
)
def test_channel_that_nodes_do_not_have_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match=r"'e\.yml': nodes do not have the channel"):
        asked("numpy", f"'{place}'")


@pytest.mark.parametrize("place", ["https://me:pa55@c.example/x", "https://c.example/t/pa55/x"])
def test_password_in_a_channel_is_refused_and_not_told(place: str) -> None:
    for given in (lambda: asked("numpy", place), lambda: asked(f"'{place}::numpy'", "x")):
        with pytest.raises(ValueError, match=r"INDEX_LOGIN") as caught:
            given()
        assert "pa55" not in str(caught.value)


def test_platforms_are_those_of_nodes() -> None:
    assert asked("numpy", more="platforms: [osx-64, linux-aarch64]\n").platforms == (
        "linux-aarch64",
    )
    assert asked("numpy", more="").platforms == ()
    with pytest.raises(ValueError, match="none of the nodes', linux-64 and linux-aarch64"):
        asked("numpy", more="platforms: [win-64]\n")


def test_what_nodes_cannot_have_is_refused() -> None:
    for given in ("./own-1.0-0.conda", "{git: [x]}"):
        with pytest.raises(ValueError, match=r"file, which nodes|nothing that conda takes"):
            asked(given)
    with pytest.raises(ValueError, match="not given its variables"):
        asked("numpy", more="variables: {A: b}\n")


def test_files_of_users_are_read_as_conda_reads_them() -> None:
    assert asked("'conda-forge::python=3.12', 'conda-forge::pip', pip: [x]").specs == ()
    assert asked("'conda-forge::python=3.12', numpy").python == "3.12"
    assert asked("Python=3.12, numpy").python == "3.12"
    major, minor = sys.version_info[:2]
    for bounds in (f">={MINOR}.1", f">=3.8,<{major}.{minor + 1}", f"3.8|{MINOR}", f"={major}"):
        assert asked(f"'python{bounds}', numpy").python == ""
    text = (
        "name: mine\nchannels:\n  - conda-forge\n  - nodefaults\ndependencies:\n"
        "  - numpy=1.26.4=py311h64a7726_0  # [linux]\n  - pip:\nprefix: /home/me/envs/mine\n"
    )
    found = conda.read(text.replace("\n", "\r\n"), "e.yml")
    assert (found.specs, found.pip) == (("numpy=1.26.4=py311h64a7726_0",), "")


@pytest.mark.parametrize(
    ("dependencies", "said"),
    [
        ("\n- numpy\n-\n", "an empty one of its dependencies is nothing"),
        ("\n- ''\n", "an empty one of its dependencies is nothing"),
        ("\n- numpy: 1.26\n", "'{'numpy': 1.26}' of its dependencies is nothing that conda takes;"),
        ("\n- 3.12\n", "'3.12' of its dependencies"),
        ("\n- |\n  numpy\n  scipy\n", r"'numpy\nscipy\n' of its dependencies"),
        (f"\n- {{a: {'x' * 5000}}}\n", "xxx...' of its dependencies"),
        ("\n- pip:\n  - numpy\n  -\n", "its lines for pip are no list of text: '['numpy', None]'"),
        ("\n- pip: numpy\n", "its lines for pip are no list of text: 'numpy'"),
        ("\n- python=2.7\n", "'python =2.7' is none of nodes, which have Python 3"),
        ("\n- own-1.0-0.tar.bz2\n", "is a file, which nodes do not have"),
        ("\n\t- numpy\n", "line 2: this is not YAML"),
        ("[" * 3000 + "]" * 3000, "this is not YAML"),
        ("null\n", "there is no list of dependencies"),
    ],
)
def test_what_a_file_cannot_say_is_told_in_one_sentence(dependencies: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^'e\.yml'") as caught:
        conda.read(f"dependencies: {dependencies}", "e.yml")
    told = str(caught.value)
    assert said in told
    assert "\n" not in told
    assert len(told) < 250
