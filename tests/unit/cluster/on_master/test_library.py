"""What the master gets of spotcluster stands on its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from spotcluster.cluster.on_master import library


def test_a_module_that_the_searches_import_was_missing_on_the_master(tmp_path: Path) -> None:
    _, packed = library._archive()
    subprocess.run(["tar", "-xzf", "-", "-C", tmp_path], input=packed, check=True)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import spotcluster.search, spotcluster.cluster.connect, spotcluster\n"
        "print(spotcluster.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.stderr == ""
    assert done.stdout.strip() == str(tmp_path / "spotcluster" / "__init__.py")
