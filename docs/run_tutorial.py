"""Execute docs/tutorial.ipynb from the first cell to the last, and keep what its cells show.

Usage: python docs/run_tutorial.py [OUTPUT]   (in its own place without OUTPUT)

Needs `pip install 'spotcluster[tutorial]'`, and no AWS account: its cluster is on the local cloud.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

NOTEBOOK = Path(__file__).with_name("tutorial.ipynb")
_LIMIT = 240  # seconds for a cell
# `%px` waits for what engines print until it would show a bar, and no longer than a second after
# it: on a computer that is slow some of it would be missing.
_PATIENT = "import ipyparallel.client.magics as m; m.ParallelMagics.progress_after_seconds = 120"


def main() -> None:
    """Execute it, and write it."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else NOTEBOOK
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    execute(notebook)
    nbformat.write(notebook, target)


def execute(notebook: nbformat.NotebookNode) -> None:
    """Run all cells in a folder of their own, with the programs beside this Python on the path.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        A cell failed; what it said is in the message.
    """
    import nbclient  # the tests compare notebooks without it

    programs = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])
    with tempfile.TemporaryDirectory(prefix="sc-") as folder:
        # What the notebook makes is made in here, so that it goes with it.
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        client = nbclient.NotebookClient(
            notebook,
            timeout=_LIMIT,
            kernel_name="python3",
            extra_arguments=[f"--IPKernelApp.exec_lines={_PATIENT}"],
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute()
        finally:
            _end_what_runs(Path(folder))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata.pop("execution", None)  # times of day, which differ each time
            cell.outputs = [tidied(output) for output in merged(cell.outputs)]


def merged(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Return the outputs of a cell with the pieces of each stream joined."""
    found: list[nbformat.NotebookNode] = []
    for output in outputs:
        last = found[-1] if found else None
        if last and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            found.append(output)
    return found


def tidied(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return an output as text without colours; what a terminal would overwrite is left out."""
    if output.output_type == "stream":
        output.text = plain(output.text)
    elif "data" in output and "text/plain" in output.data:
        output.data["text/plain"] = plain(output.data["text/plain"])
    return output


def plain(text: str) -> str:
    """Return text without the codes of terminals."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n")
    return "\n".join(line.rpartition("\r")[2].rstrip() for line in text.split("\n"))


def shown(cell: nbformat.NotebookNode) -> list[str]:
    """Return the lines that a cell shows, in no order: engines answer in any."""
    text = [
        output.text if output.output_type == "stream" else output.data.get("text/plain", "")
        for output in cell.outputs
    ]
    return sorted(line for part in text for line in plain(part).splitlines() if line)


def _end_what_runs(folder: Path) -> None:
    """Stop what a cell that failed has left: the local cloud, the engines."""
    for work in folder.glob("tutorial-*"):
        places = {"SPOTCLUSTER_HOME": str(work / "home"), "IPYTHONDIR": str(work / "ipython")}
        for words in (["spotcluster", "local", "stop"], ["ipyparallel.cluster", "stop"]):
            subprocess.run(
                [sys.executable, "-m", *words],
                env={**os.environ, **places},
                capture_output=True,
                check=False,
                timeout=60,
            )


if __name__ == "__main__":
    main()
