"""The private names of other libraries that we stand on: which, and that they are what they were.

Each library has one module for them, called ``LIBRARY_private.py`` (scikit-learn a second one, for
engines). A new version of a library that takes a name away, or gives it other arguments, fails here
and not in the middle of somebody's search.
"""

from __future__ import annotations

import ast
import atexit
import gc
import importlib
import inspect
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Any

import ipyparallel
import moto.core.base_backend
import moto.core.responses
import moto.core.serialize
import moto.ec2.models
import moto.ec2.models.instances
import moto.ec2.responses
import moto.ssm.models
import paramiko
import pytest
import sklearn
from ipyparallel.client.futures import MessageFuture
from ipyparallel.controller.hub import Hub
from joblib.externals.loky import get_reusable_executor
from sklearn.metrics import check_scoring
from sklearn.model_selection import ParameterSampler
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from traitlets import HasTraits

from spotcluster import ipyparallel_private
from spotcluster.local import moto_private
from spotcluster.search import cloudpickle_private, sklearn_private
from spotcluster.search.backends import futures_private
from spotcluster.search.kinds.trials import load_optuna

TOP = Path(__file__).parents[2]
LIBRARIES = (
    "sklearn",
    "ipyparallel",
    "paramiko",
    "moto",
    "botocore",
    "boto3",
    "asyncssh",
    "optuna",
    "cloudpickle",
)
PRIVATE = sorted((TOP / "spotcluster").rglob("*_private.py"))
# They run where nothing of ours is, from their text alone.
ASKED_AGAIN = {
    *("_engines", "_io_loop", "_query_stream", "_send_recv"),
    *("_unregister_engine", "_update_engines"),
}
ON_NODES = {
    "templates/await_engines.py": ASKED_AGAIN,
    "templates/release_engines.py": ASKED_AGAIN,
    "templates/controller.py": {"_idcounter"},
    # Two of Python's, and a method of ipykernel's.
    "templates/engines.py": {"_shutdown", "_run_exitfuncs", "_publish_status"},
}
HOST = ("spotcluster", "local", "host")
OF_PYTHON = {"_base_executable", "_exit", "_get_filters"}

CALLED = {  # with these arguments, first of all
    "sklearn.model_selection._validation._check_groups_routing_disabled": ["groups"],
    "sklearn.model_selection._validation._translate_train_sizes": [
        *("train_sizes", "n_max_training_samples")
    ],
    "sklearn.model_selection._validation._warn_or_raise_about_fit_failures": [
        *("results", "error_score")
    ],
    "sklearn.utils._safe_indexing": ["X", "indices"],
    "sklearn.utils._param_validation.validate_parameter_constraints": [
        *("parameter_constraints", "params", "caller_name")
    ],
    "sklearn.utils.metaestimators._safe_split": ["estimator", "X", "y", "indices", "train_indices"],
    "sklearn.utils.validation._check_method_params": ["X", "params", "indices"],
    "sklearn.utils.validation._is_arraylike": ["x"],
    "sklearn.utils.validation._num_samples": ["x"],
    "sklearn.model_selection._search.BaseSearchCV._check_refit_for_multimetric": ["self", "scores"],
    "sklearn.model_selection._search.BaseSearchCV._get_param_names": [],
    "sklearn.model_selection._search.BaseSearchCV._get_routed_params_for_fit": ["self", "params"],
    "sklearn.model_selection._search.BaseSearchCV._get_scorers": ["self"],
    "sklearn.model_selection._search.BaseSearchCV._select_best_index": [
        *("refit", "refit_metric", "results")
    ],
    "sklearn.model_selection._search.BaseSearchCV._html_repr": [],
    "sklearn.model_selection._search.ParameterSampler._is_all_lists": ["self"],
    "ipyparallel.Client._start_io_thread": ["self"],
    "ipyparallel.Client._dispatch_iopub": ["self", "msg"],
    "ipyparallel.Client._dispatch_reply": ["self", "msg"],
    "ipyparallel.Client._handle_apply_reply": ["self", "msg"],
    "ipyparallel.Client._unregister_engine": ["self", "msg"],
    "ipyparallel.Client._update_engines": ["self", "engines"],
    "paramiko.Transport._send_user_message": ["self", "data"],
    "moto.ec2.models.EC2Backend._get_template_from_args": ["self", "launch_template_arg"],
    "moto.core.responses.BaseResponse._get_param": ["self", "param_name", "if_none"],
    "moto.ec2.models.EC2Backend._load_amis": ["self"],
    "moto.ec2.responses.EC2Response._filters_from_querystring": ["self"],
    "moto.ec2.responses.EC2Response._parse_tag_specification": ["self"],
}


def found(name: str) -> Any:
    """Return what has a dotted name, as it is written where it is: a static method is one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            thing = getattr(thing, part)
        return thing
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", CALLED)
def test_a_private_function_takes_what_we_give_it(name: str) -> None:
    parameters = list(inspect.signature(found(name)).parameters)
    assert parameters[: len(CALLED[name])] == CALLED[name]


def test_scikit_learns_classes_are_what_we_build_on() -> None:
    assert "_parameter_constraints" in vars(sklearn_private.BaseSearchCV)
    assert issubclass(sklearn_private.InvalidParameterError, ValueError)
    for constraints in (sklearn_private.SEARCH_CONSTRAINTS, sklearn_private.HALVING_CONSTRAINTS):
        assert constraints.keys() >= {"estimator", "scoring", "refit", "cv", "error_score"}
    assert sklearn_private.HALVING_CONSTRAINTS.keys() >= {"resource", "factor", "min_resources"}
    interval = sklearn_private.Interval(Real, 0, None, closed="neither")
    assert interval.is_satisfied_by(1)
    assert not interval.is_satisfied_by(0)
    assert sklearn_private.StrOptions({"a"}).is_satisfied_by("a")
    assert sklearn_private.Options(bool, {False}).is_satisfied_by(False)
    assert sklearn_private.HasMethods("fit").is_satisfied_by(SVC())
    several = check_scoring(SVC(), ["accuracy", "balanced_accuracy"])
    assert sklearn_private.scorers_of(several) is vars(several)["_scorers"]
    assert list(vars(several)["_scorers"]) == ["accuracy", "balanced_accuracy"]
    assert sklearn_private.scorers_of(check_scoring(SVC(), "accuracy")) is None
    assert sklearn_private.draws_from_lists(ParameterSampler({"C": [1]}, 1))


def test_scikit_learn_keeps_requests_and_output_where_copies_take_them_from() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        assert "_metadata_request" in vars(SVC().set_fit_request(sample_weight=True))
    assert "_sklearn_output_config" in vars(StandardScaler().set_output(transform="default"))


def test_ipyparallels_client_has_what_we_ask_of_it() -> None:
    """Attributes that are set when it is connected are in its source, and nowhere else."""
    source = inspect.getsource(inspect.getmodule(ipyparallel.Client))  # type: ignore[arg-type]
    names = ("_closed", "_engines", "_futures", "_io_loop", "_outstanding_dict", "_query_socket")
    streams = ("_iopub_stream", "_mux_stream", "_task_stream")
    for name in (*names, *streams):
        assert re.search(rf"\bself\.{name} = |^    {name} = ", source, re.MULTILINE), name
    assert "_idcounter" in Hub.class_trait_names()
    # What stands in a client for the future that it has of each message, see `Answer`.
    future = MessageFuture("id")
    assert future.iopub_callbacks == []
    assert isinstance(vars(future)["_done_callbacks"], list)
    used = set(re.findall(r"\b(?:msg_)?future\.(\w+)", inspect.getsource(found(TAKES_REPLIES))))
    assert used == {"set_result"}


TAKES_REPLIES = "ipyparallel.Client._handle_apply_reply"


def test_motos_objects_have_what_we_ask_of_them() -> None:
    ssm = moto.ssm.models.SimpleSystemManagerBackend("us-east-1", "123456789012")
    assert moto_private.parameters_of(ssm) is vars(ssm)["_parameters"]
    source = inspect.getsource(moto.ec2.models.instances.Instance)
    for name in ("_private_ips", "_reason", "_spot_fleet_id"):
        assert f"self.{name}" in source, name
    base = moto.core.base_backend
    assert "url_paths" in inspect.getsource(base.BaseBackend.urls.fget)
    assert isinstance(vars(base.BaseBackend)["_url_module"], property)
    serialize = moto.core.serialize
    assert "self._value_picker" in inspect.getsource(serialize.ResponseSerializer.__init__)
    assert [*inspect.signature(serialize.xmltodict._validate_name).parameters][:1] == ["value"]
    body = inspect.signature(serialize.ResponseSerializer._serialize_body)
    assert [*body.parameters] == ["self", "body"]
    create = inspect.signature(base.BackendDict._create_account_specific_backend)
    assert [*create.parameters] == ["self", "account_id"]


def test_optunas_trials_have_a_number_in_their_storage() -> None:
    optuna = pytest.importorskip("optuna")
    assert load_optuna() is optuna
    study = optuna.create_study()
    trial = study.ask()
    again = optuna.trial.Trial(study, study.trials[0]._trial_id)
    assert again.number == trial.number


def test_callbacks_have_a_tree_of_tasks() -> None:
    callbacks = pytest.importorskip("sklearn.callback")

    class Recorder:
        def setup(self, estimator: Any, context: Any) -> None: ...
        def teardown(self, estimator: Any, context: Any) -> None: ...
        def on_fit_task_begin(self, estimator: Any, context: Any) -> None: ...
        def on_fit_task_end(self, estimator: Any, context: Any) -> None: ...

    class Estimator(callbacks.CallbackSupportMixin, SVC): ...  # type: ignore[misc]

    recorder = Recorder()
    estimator = Estimator().set_callbacks(recorder)
    assert estimator._skl_callbacks == [recorder]
    with sklearn_private.managed_callbacks(estimator):
        task = estimator._init_callback_context(max_subtasks=1)
        assert estimator._callback_fit_ctx is task
        assert estimator._skl_callbacks_to_teardown == [recorder]
        part = task.subcontext()
        assert (task._callbacks, task._propagation_depth) == ([recorder], 0)
        assert task._children_map == {0: part}
        other = Estimator()
        with part.propagate_callback_context(other):
            assert other._parent_callback_ctx is part
            assert "_propagated_callbacks" in inspect.getsource(type(part))
    assert not hasattr(estimator, "_callback_fit_ctx")


def test_cloudpickle_knows_its_classes_again() -> None:
    cloudpickle = cloudpickle_private.cloudpickle
    kind: Any = type("Local", (), {"f": lambda _: 1})
    data = cloudpickle.dumps(kind)
    tracker = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS[kind]
    assert cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID[tracker] is kind
    own = kind.f
    assert cloudpickle_private.loads(data) is kind
    assert kind.f is own
    for name in (*cloudpickle_private._SKELETONS, cloudpickle_private._FILLS):
        assert f"{name}(" in inspect.getsource(cloudpickle)
    names = [*inspect.signature(cloudpickle._make_skeleton_class).parameters]
    assert names[-2:] == ["class_tracker_id", "extra"]
    assert list(inspect.signature(cloudpickle._class_setstate).parameters) == ["obj", "state"]
    # A class that is not here any more is made of what was sent.
    del kind, own
    gc.collect()
    assert cloudpickle_private.loads(data)().f() == 1


def test_optunas_samplers_say_what_they_have() -> None:
    samplers = pytest.importorskip("optuna").samplers
    study = load_optuna().create_study(sampler=samplers.GridSampler({"x": [1, 2]}))
    assert study._storage.get_trial_system_attrs(study.ask()._trial_id)["grid_id"] == 0
    sampler = study.sampler
    assert sorted(sampler._all_grids) == [(1,), (2,)]
    assert sampler._param_names == ["x"]
    assert sampler._same_search_space(sampler._search_space)
    brute = inspect.signature(samplers.BruteForceSampler._populate_tree)
    assert list(brute.parameters) == ["tree", "trials", "params"]
    assert samplers.BruteForceSampler(avoid_premature_stop=True)._avoid_premature_stop
    assert samplers.PartialFixedSampler({"x": 1}, sampler)._base_sampler is sampler
    tree = importlib.import_module("optuna.samplers._brute_force")._TreeNode()
    assert tree.count_unexpanded(exclude_running=True) == 1
    assert isinstance(study._storage, load_optuna().storages.InMemoryStorage)


def test_executors_know_how_many_workers_they_have() -> None:
    for made in (ThreadPoolExecutor(3), ProcessPoolExecutor(3), get_reusable_executor(3)):
        with made:
            assert made._max_workers == futures_private.workers_of(made) == 3
            of_threads = futures_private.is_of_threads(made)
            assert of_threads != futures_private.is_of_processes(made)


def test_paramikos_channel_knows_its_transport() -> None:
    assert "self.transport = " in inspect.getsource(paramiko.Channel)


def test_a_process_that_is_forked_can_end_as_python_ends() -> None:
    assert not inspect.signature(threading._shutdown).parameters  # type: ignore[attr-defined]
    assert callable(atexit._run_exitfuncs)


def test_the_table_has_every_private_function() -> None:
    """What is not in it is an attribute or a class, which the tests above look at."""
    named = {name.rpartition(".")[2] for name in CALLED}
    looked_at = inspect.getsource(inspect.getmodule(found) or pytest)
    used = set().union(*map(private_names, PRIVATE), inherited())
    for name in sorted(used - named):
        assert re.search(rf"\b{name}\b", looked_at), f"no test looks at {name}"


# --- and nowhere else -----------------------------------------------------------------------------


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text())))


def is_private(name: str) -> bool:
    return bool(re.fullmatch(r"_[a-z]\w*[^_]", name))  # `_repr_html_` is IPython's, and public


def ours() -> list[Path]:
    rooms = (TOP / name for name in ("spotcluster", "plugins", "templates"))
    return sorted({path.resolve() for room in rooms for path in room.rglob("*.py")})


def accesses(path: Path) -> Iterator[tuple[str, str]]:
    """Yield what is accessed of what, as source: ``client._engines`` and ``getattr`` of it too."""
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield ast.unparse(node.value), node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            name = ast.literal_eval(node.args[1]) if isinstance(node.args[1], ast.Constant) else ""
            if is_private(name):
                yield ast.unparse(node.args[0]), name


def private_imports(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [f"{node.module}.{one.name}" for one in node.names]
        elif isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] in LIBRARIES and any(map(is_private, name.split("."))):
                yield name


def private_names(path: Path) -> set[str]:
    """Return the names of a library that its module for private names uses."""
    imported = {name.rpartition(".")[2] for name in private_imports(path)}
    return {name for _, name in accesses(path)} | set(filter(is_private, imported))


def inherited() -> set[str]:
    return {
        *sklearn_private.INHERITED,
        *ipyparallel_private.INHERITED,
        *moto_private.INHERITED,
    }


def made_here() -> set[str]:
    """Return every private name that our own code defines or sets."""
    names: set[str] = set()
    for path in ours():
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.attr)
    return names


def classes() -> set[str]:
    return {node.name for path in ours() for node in nodes(path) if isinstance(node, ast.ClassDef)}


def test_private_modules_are_imported_by_nobody_else() -> None:
    wrong = [
        f"{path.relative_to(TOP)} imports {name}"
        for path in ours()
        if path not in PRIVATE
        for name in private_imports(path)
    ]
    assert not wrong


def test_private_names_are_used_by_nobody_else() -> None:
    of_libraries = set().union(*map(private_names, PRIVATE))
    own, own_classes = made_here(), {"self", "cls", "super()", *classes()}
    wrong = [
        f"{path.relative_to(TOP)}: {of}.{name}"
        for path in ours()
        if path not in PRIVATE
        for of, name in accesses(path)
        if name not in OF_PYTHON | ON_NODES.get(str(path.relative_to(TOP)), set())
        and not (name in own and (name not in of_libraries or of in own_classes))
        and not (name in inherited() and of in own_classes)
    ]
    assert not wrong


def test_our_classes_override_no_private_name_that_is_not_listed() -> None:
    wrong = []
    for path in ours():
        place = path.relative_to(TOP).with_suffix("").parts
        # A host's process has no library's class among the bases of its own.
        if place[0] != "spotcluster" or place[-1] == "__main__" or place[:3] == HOST:
            continue
        module = importlib.import_module(".".join(place).removesuffix(".__init__"))
        for kind in filter(inspect.isclass, list(vars(module).values())):
            if kind.__module__ == module.__name__:
                wrong += [f"{kind}: {name}" for name in overridden(kind) - inherited()]
    assert not wrong


def overridden(kind: type) -> set[str]:
    """Return the private names of a class which a library's class among its bases has too."""
    made = {"_abc_impl", *vars(type("Empty", (HasTraits,), {}))}  # by Python, and by traitlets
    own = {name for name in vars(kind) if is_private(name)} - made
    theirs = [base for base in kind.__mro__ if base.__module__.split(".")[0] in LIBRARIES]
    return {name for name in own for base in theirs if name in vars(base)}
