"""The kit for those who write plugins: what its page shows runs, and what fails is told."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
OWN = """
from pathlib import Path

import pytest

from spotcluster.errors import RemoteCommandFailed
from spotcluster.testing import plugin

HERE = Path(__file__).parent / "plugins"


def test_setup_class_of_starcluster(local_cluster):
    mine = plugin("greeting.Greeting", HERE, word="hello")
    local_cluster.setup(mine)
    assert [node.run("cat greeting") for node in local_cluster.nodes] == ["hello 2\\n"] * 2
    local_cluster.remove(mine, "node001")
    local_cluster.restart(mine)
    local_cluster.shutdown(mine)
    said = [note for note in local_cluster.notes if note.startswith("Greeting: ")]
    assert said == ["Greeting: run", "Greeting: bye node001", "Greeting: run", "Greeting: over"]


def test_what_fails_is_raised(local_cluster):
    mine = plugin("greeting.Greeting", HERE, word="hello; [ -e a-master ] || exit 3; echo")
    with pytest.raises(RemoteCommandFailed, match="node001: plugin Greeting, its command failed"):
        local_cluster.setup(mine)
    assert len(local_cluster.nodes) == 2
"""
GREETING = """
from starcluster.clustersetup import DefaultClusterSetup
from starcluster.logger import log


class Greeting(DefaultClusterSetup):
    def __init__(self, word):
        super(Greeting, self).__init__()
        self.word = word

    def run(self, nodes, master, user, user_shell, volumes):
        log.info("run")
        master.ssh.execute("touch a-master")
        for node in nodes:
            command = "echo %d > number; echo %s $(cat number) > greeting" % (len(nodes), self.word)
            self.pool.simple_job(node.ssh.execute, (command,), jobid=node.alias)
        self.pool.wait(len(nodes))

    def on_remove_node(self, node, nodes, master, user, user_shell, volumes):
        log.info("bye %s", node.alias)

    def on_shutdown(self, nodes, master, user, user_shell, volumes):
        log.info("over")
"""


def python_of(page: str) -> str:
    (text,) = re.findall(r"```python\n(.*?)```", (HOWTO / page).read_text(), re.DOTALL)
    return str(text)


def run_pytest(folder: Path) -> str:
    """Run pytest as the user of the kit does, in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "spotcluster.testing", "-n", "0"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_the_page_shows_runs_and_so_do_setup_classes(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (plugins / "swap.py").write_text(python_of("plugins.md"))
    (plugins / "greeting.py").write_text(textwrap.dedent(GREETING))
    (tmp_path / "test_swap.py").write_text(python_of("test-a-plugin.md"))
    (tmp_path / "test_own.py").write_text(OWN)
    assert "4 passed" in run_pytest(tmp_path)


def test_pytest_does_not_import_the_product_for_tests_that_do_not_ask(tmp_path: Path) -> None:
    heavy = {"boto3", "paramiko", "pydantic", "moto", "numpy", "spotcluster.cluster"}
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n\n\ndef test_nothing():\n"
        "    assert 'spotcluster.testing' in sys.modules\n"
        f"    assert not {heavy} & set(sys.modules)\n"
    )
    assert "1 passed" in run_pytest(tmp_path)
