"""What botocore reads and works out anew for each client, read and worked out once for a process.

It is the same each time: the descriptions of services, which are large, and what follows from
them. For a command of a second that is a third of its work; a forked terminal inherits it.
"""

from __future__ import annotations

import functools
import types
from typing import Any

import botocore.client
import botocore.hooks
import botocore.loaders
import botocore.session
from botocore.client import ClientCreator
from botocore.hooks import EventAliaser

_create_loader = functools.cache(botocore.loaders.create_loader)
_load_service_model = ClientCreator._load_service_model
_create_methods = ClientCreator._create_methods
_begin = EventAliaser.__init__
_accepts = botocore.hooks.accepts_kwargs
_accepting: dict[types.FunctionType, bool] = {}
_models: dict[tuple[Any, ...], Any] = {}
_methods: dict[str, dict[str, Any]] = {}
_aliases: dict[str, str] = {}


def _loader(search_path_string: str | None = None) -> Any:
    return _create_loader(search_path_string)


def _model(self: Any, service_name: str, api_version: str | None = None) -> Any:
    key = (self._loader, service_name, api_version)
    if key not in _models:
        _models[key] = _load_service_model(self, service_name, api_version)
    return _models[key]


def _methods_of(self: Any, service_model: Any) -> dict[str, Any]:
    if service_model.service_name not in _methods:
        _methods[service_model.service_name] = _create_methods(self, service_model)
    return dict(_methods[service_model.service_name])


def _with_known_names(self: Any, emitter: Any, event_aliases: Any = None) -> None:
    _begin(self, emitter, event_aliases)
    if self._event_aliases == botocore.hooks.EVENT_ALIASES:
        self._alias_name_cache = _aliases


def _accepts_kwargs(handler: Any) -> bool:
    function = getattr(handler, "__func__", handler)  # a method is of a client, which is not kept
    if not isinstance(function, types.FunctionType):
        return bool(_accepts(handler))
    if function not in _accepting:
        _accepting[function] = _accepts(function)
    return _accepting[function]


def share() -> None:
    """Have all clients of this process share what they only read."""
    botocore.session.create_loader = _loader
    botocore.loaders.create_loader = _loader  # from where ours takes it
    ClientCreator._load_service_model = _model
    ClientCreator._create_methods = _methods_of
    EventAliaser.__init__ = _with_known_names
    botocore.hooks.accepts_kwargs = _accepts_kwargs


_EVENTS = (
    "provide-client-params",
    "before-parameter-build",
    "before-endpoint-resolution",
    "before-call",
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "response-received",
    "needs-retry",
    "after-call",
)


def warm(client: Any, operation: str) -> None:
    """Work out what a client works out at its first call of an operation."""
    model = client.meta.service_model
    model.shape_for_error_code("")
    for event in _EVENTS:
        name = f"{event}.{model.service_id.hyphenize()}.{operation}"
        client.meta.events._alias_event_name(name)
