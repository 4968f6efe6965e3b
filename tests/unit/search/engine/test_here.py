"""What runs on an engine, run here."""

from __future__ import annotations

import ast
import errno
import hashlib
import io
import os
import pickle
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import ipyparallel
import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.utils import resample

from spotcluster.search import shipping
from spotcluster.search.engine import batch, here, peer, prune, transfer
from spotcluster.search.engine import fit as fitting
from spotcluster.search.engine import part as parts

SPLIT = ([[0.0], [1.0]] * 5, [0, 1] * 5, [[0.0], [1.0]], [0, 1])


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SPOTCLUSTER_NODE", "node009")
    monkeypatch.delenv("SPOTCLUSTER_HOME")
    monkeypatch.setattr(here, "_bundles", {})
    return tmp_path / ".spotcluster"


@pytest.fixture
def file(tmp_path: Path) -> dict[str, Any]:
    """A split file of the client."""
    path = tmp_path / "split.pkl"
    joblib.dump(SPLIT, path)
    content = path.read_bytes()
    return {"path": str(path), "size": len(content), "digest": hashlib.sha256(content).hexdigest()}


def work(model: Any, **params: Any) -> bytes:
    task = {"model": model, "params": params, "scoring": None, "error_score": -1.0}
    return pickle.dumps({**task, "return_train_score": True, "pace": 0.0})


def evaluate(bundle: str, digest: str, job: bytes) -> dict[str, Any]:
    """Do one evaluation as a message would have it done."""
    items = [(digest, pickle.loads(job))]
    who, raw = batch.perform(bundle, pickle.dumps(({}, {})), pickle.dumps((items, {})), 1.0)
    (result,) = pickle.loads(raw)
    return {**who, **result}


@pytest.mark.parametrize("module", [batch, fitting, here, parts, peer, prune, transfer])
def test_it_imports_nothing_of_spotcluster(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    names = [
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and not node.level)
        for alias in node.names
    ]
    roots = {name.split(".")[0] for name in names}
    on_engines = {"IPython", "ipyparallel", "joblib", "numpy", "psutil", "sklearn", "zmq"}
    assert roots - set(sys.stdlib_module_names) <= on_engines


def test_a_call_carries_its_module(tmp_path: Path) -> None:
    """As ipyparallel does it: the code of one function, in a process without spotcluster."""
    import marshal

    arguments = (shipping._DIGEST, shipping._SOURCE, "here.node_name")
    script = (
        "import marshal, types, sys\n"
        f"code = marshal.loads({marshal.dumps(shipping.call.__code__)!r})\n"
        f"print(types.FunctionType(code, {{}})(*{arguments!r}))\n"
        "assert 'spotcluster' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "node009\n"


def test_host_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert here.identity()["node"] == "node009"
    monkeypatch.delenv("SPOTCLUSTER_NODE")
    assert here.identity()["node"] == socket.gethostname()


def test_a_file_that_the_host_sees_is_taken_from_there(file: dict[str, Any]) -> None:
    assert not here.probe("bundle")["ready"]
    assert here.locate("bundle", [file]) == []
    assert here.probe("bundle")["ready"]
    result = evaluate("bundle", file["digest"], work(SVC(), C=10.0))
    assert (result["test"], result["train"], result["error"]) == (1.0, 1.0, "")
    assert result["node"] == "node009"
    assert result["started"] <= result["ended"]


@pytest.mark.parametrize("different", ["size", "content"])
def test_a_file_of_the_same_name_is_not_taken(file: dict[str, Any], different: str) -> None:
    content = Path(file["path"]).read_bytes()
    changed = content[:-1] if different == "size" else content[:-1] + b"x"
    Path(file["path"]).write_bytes(changed)
    assert here.locate("bundle", [file]) == [file["digest"]]
    with pytest.raises(ipyparallel.UnmetDependency, match="node009: files"):
        evaluate("bundle", file["digest"], work(SVC()))


def test_a_file_comes_in_pieces(file: dict[str, Any], host: Path) -> None:
    content = Path(file["path"]).read_bytes()
    Path(file["path"]).unlink()
    assert here.locate("bundle", [file]) == [file["digest"]]
    for offset in (100, 0):  # in any order
        piece = content[offset : offset + 100] if offset == 0 else content[offset:]
        assert transfer.receive(file["digest"], "upload", offset, piece) == len(piece)
    transfer.complete(file["digest"], "upload", file["size"])
    assert here.locate("bundle", [file]) == []
    stored = host / "splits" / f"{file['digest']}.pkl"
    assert stored.read_bytes() == content
    assert stored.stat().st_mode & 0o777 == 0o600
    assert stored.parent.stat().st_mode & 0o777 == 0o700
    assert {path.suffix for path in stored.parent.iterdir()} == {".pkl", ".json"}


def test_what_came_wrong_is_not_kept(file: dict[str, Any], host: Path) -> None:
    transfer.receive(file["digest"], "upload", 0, b"something else")
    with pytest.raises(ValueError, match="14 of"):
        transfer.complete(file["digest"], "upload", file["size"])
    transfer.receive(file["digest"], "given up", 0, b"a piece")
    transfer.discard("given up")
    assert list((host / "splits").iterdir()) == []


@pytest.mark.parametrize("damage", ["gone", "shorter", "other content"])
def test_a_file_that_has_changed_is_noticed(file: dict[str, Any], damage: str) -> None:
    assert here.locate("bundle", [file]) == []
    path = Path(file["path"])
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"x" * (file["size"] - (damage == "shorter")))
    assert not here.probe("bundle")["ready"]
    with pytest.raises(ipyparallel.UnmetDependency):
        evaluate("bundle", file["digest"], work(SVC()))


def test_damage_that_keeps_size_and_time_is_noticed_when_read(file: dict[str, Any]) -> None:
    import os

    assert here.locate("bundle", [file]) == []
    stat = Path(file["path"]).stat()
    Path(file["path"]).write_bytes(b"x" * file["size"])
    os.utime(file["path"], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(ipyparallel.UnmetDependency):
        evaluate("bundle", file["digest"], work(SVC()))
    assert here.locate("bundle", [file]) == [file["digest"]]


def test_a_draining_host_refuses(
    file: dict[str, Any], host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.locate("bundle", [file])
    (host / "drain").touch()
    with pytest.raises(ipyparallel.UnmetDependency, match="node009: draining"):
        evaluate("bundle", file["digest"], work(SVC()))
    assert here.probe("bundle")["draining"]
    monkeypatch.setenv("SPOTCLUSTER_DRAIN_FLAG", str(host / "elsewhere"))
    assert not here.probe("bundle")["draining"]


def test_errors_are_results(file: dict[str, Any]) -> None:
    here.locate("bundle", [file])
    for job in (work(SVC(), C=-1.0), work(SVC(), nonsense=1)):
        result = evaluate("bundle", file["digest"], job)
        assert (result["test"], result["train"]) == (-1.0, -1.0)
        assert result["error"].startswith("Traceback")


def test_a_scorer_that_raises_is_an_error() -> None:
    def scorer(estimator: Any, X: Any, y: Any) -> float:
        raise RuntimeError("no score today")

    result = fitting.fit_and_score(
        SPLIT, model=LogisticRegression(), params={}, scoring=scorer, error_score=0.0
    )
    assert (result["test"], result["train"]) == (0.0, 0.0)
    assert "no score today" in result["error"]


def test_pace_is_kept(file: dict[str, Any]) -> None:
    here.locate("bundle", [file])
    job = pickle.dumps({**pickle.loads(work(SVC())), "pace": 0.5})
    result = evaluate("bundle", file["digest"], job)
    assert 0.49 < result["ended"] - result["started"] < 60  # by a clock that may be set meanwhile
    assert result["fit_time"] < 0.5


def test_what_a_host_says_of_itself(tmp_path: Path) -> None:
    assert here.memory_mb() > 1
    assert here.free_memory_mb() > 1
    assert here.warm([__file__, str(tmp_path / "nothing")]) == [str(tmp_path / "nothing")]


def test_a_part_of_the_training_data() -> None:
    X, y = np.arange(20.0).reshape(10, 2), np.arange(10.0)
    rows = {"fit": {"sample_weight": y}, "train": {}, "test": {"sample_weight": y[:4]}}
    split = (X, y, X[:4], y[:4], rows)
    for size in ({"n_samples": 5}, {"train_fraction": 0.59}):
        (X_train, y_train, fit, _), (X_test, _, _) = parts.part_of(split, **size)
        assert np.shares_memory(X_train, X)  # nothing is copied
        assert y_train.tolist() == fit["sample_weight"].tolist() == y[:5].tolist()
        assert len(X_test) == 4
    part = parts.part_of(split[:4], train_fraction=0.5, test_fraction=0.5, seed=3)
    (_, drawn, *_), (_, tested, _) = part
    assert drawn.tolist() == resample(y, replace=False, random_state=3, n_samples=5).tolist()
    assert tested.tolist() == resample(y[:4], replace=False, random_state=3, n_samples=2).tolist()
    result = fitting.fit_and_score(SPLIT, model=SVC(), params={}, part={"n_samples": 1})
    assert "classes" in result["error"]


def test_a_disk_that_becomes_full_in_a_piece_was_told_of_as_other_bytes() -> None:
    class AlmostFull(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() >= 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data[:3])

    disk = AlmostFull()
    with pytest.raises(OSError, match="No space left"):
        transfer._write(disk, 0, b"piece")
    assert disk.getvalue() == b"pie"


def test_threads_of_a_worker_found_a_package_that_another_was_still_making() -> None:
    begin, answers = threading.Barrier(8), []

    def ask() -> None:
        begin.wait(60)
        answers.append(shipping.call("of-a-test", shipping._SOURCE, "prune.used", "no bundle"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for name in [name for name in sys.modules if name.startswith("spotcluster_engine_of-a-test")]:
        del sys.modules[name]
    assert answers == [None] * 8
