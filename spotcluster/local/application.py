"""The WSGI application: moto's, behind what makes it a cloud of one's own.

In the order in which a request meets it: the pages that need no key, the key, control calls,
failing on demand, the prices that moto does not have, and moto, one call at a time; after a call
that may have changed something the state is written, before its answer goes out.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import moto.core.responses
import moto.ec2.utils
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.request import Request
from moto.core.utils import camelcase_to_underscores, method_names_from_class
from moto.ec2.utils import simple_aws_filter_to_re
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from . import answers, market, pricing
from .access.callers import Caller, Credentials
from .access.roles import PAGE, Roles
from .cloud import Cloud
from .ec2 import LocalEC2Response
from .faults import Rule
from .host import metadata
from .lags import Lags
from .moto_private import answer_quickly, look_through_subclasses

log = logging.getLogger(__name__)

_LARGEST_BODY = 8 * 1024 * 1024
_LARGEST_OBJECT = 128 * 1024 * 1024  # in one request, for S3
_READING = ("Describe", "Get", "List", "Search")

# moto works these out anew for each call: it lists the methods of a class of several hundred, and
# looks at each letter of an action and of a filter. That is a third of its time.
_names = functools.cache(method_names_from_class)
moto.core.responses.method_names_from_class = _names  # type: ignore[attr-defined]
moto.core.responses.camelcase_to_underscores = functools.cache(  # type: ignore[attr-defined]
    camelcase_to_underscores
)
moto.ec2.utils.simple_aws_filter_to_re = functools.lru_cache(4096)(simple_aws_filter_to_re)
look_through_subclasses()
answer_quickly()


class _Dispatcher(DomainDispatcherApplication):
    """moto's choice of a service by host name, made once for each name."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__(make)
        self._known: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        if host not in self._known:
            self._known[host] = super().get_backend_for_host(host)
        return self._known[host]


class _Request(Request):
    """A request that a server of moto's got."""

    from_wsgi_server = True


def _direct(view: Callable[..., Any]) -> Callable[..., Iterable[bytes]]:
    """Return the WSGI application of a service that has one view.

    moto's has Flask between the two, which chooses a view by the path and takes as long as some
    calls do.
    """

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = _Request(environ)
        response: Any
        try:
            status, headers, content = view(request, request.raw_url, dict(request.headers))
            response = Response(content, status, headers)
        except HTTPException as error:
            response = error.get_response(environ)
        result: Iterable[bytes] = response(environ, start_response)
        return result

    return application


class Application:
    """The local cloud as a WSGI application.

    Parameters
    ----------
    cloud : Cloud
        Its state.
    credentials : Credentials
        The only key it listens to.
    changed : callable, optional
        Called after every call that may have changed something.
    renewed : callable, optional
        Gives the key that is to be listened to from now on; asked when a call has another one.
    status : callable, optional
        Gives what ``GET /control/status`` answers.
    """

    def __init__(
        self,
        cloud: Cloud,
        credentials: Credentials,
        *,
        changed: Callable[[], None] = lambda: None,
        renewed: Callable[[], Credentials] | None = None,
        status: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._cloud = cloud
        self._credentials = credentials
        self._roles = Roles(cloud, credentials)
        self._changed = changed
        self._renewed = renewed
        self._status = status
        self._lags: dict[str, Lags] = {}  # by region

        class Answers(LocalEC2Response):
            """moto makes one for every request, without arguments."""

        Answers.cloud = cloud

        def make(service: Any) -> Any:
            return _direct(Answers.dispatch) if service == "ec2" else create_backend_app(service)

        self._moto = _Dispatcher(make)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            response = self._answer(environ)
        except ConnectionResetError:  # asked for: the server closes the connection
            raise
        except Exception:
            log.exception("a request failed")
            response = answers.error(
                Caller.of(environ).service,
                "InternalError",
                "An internal error has occurred in the local cloud; its log says more.",
                500,
            )
        return response(environ, start_response)

    def _answer(self, environ: dict[str, Any]) -> Response:
        path = environ.get("PATH_INFO", "/")
        if page := self._page(environ, path):
            return page
        caller = Caller.of(environ)
        token = str(environ.get("HTTP_X_AMZ_SECURITY_TOKEN") or "")
        machine = self._roles.caller(caller, token)
        if machine is None and not self._lets_in(caller):
            return answers.error(
                caller.service,
                "AuthFailure" if caller.service in ("", "ec2") else "UnrecognizedClientException",
                "This is not the access key of the local cloud; "
                "`spotcluster local status` prints the credentials.",
                401,
            )
        body = _body(environ, _LARGEST_OBJECT if caller.service == "s3" else _LARGEST_BODY)
        if path.startswith(("/control/", "/moto-api")):
            return self._own_page(environ, path, body, of_owner=machine is None)
        action, params = _call(environ, body)
        if machine is not None:
            with self._cloud.lock:
                refused = self._roles.refusal(machine, caller, action, params, environ)
            if refused:
                return refused
        return self._called(environ, caller, action, params, body)

    def _called(
        self,
        environ: dict[str, Any],
        caller: Caller,
        action: str,
        params: dict[str, str],
        body: bytes,
    ) -> Response:
        """Answer a call that is allowed, unless it is to fail."""
        rule = self._cloud.faults.pick(action, params)
        if rule is not None and not rule.after and (refused := _fail(environ, caller, rule)):
            return refused
        if caller.service == "ec2" and not self._cloud.limits.allows(caller.region, action, params):
            code = "RequestLimitExceeded"
            return answers.error(caller.service, code, "Request limit exceeded.", 503)
        environ["wsgi.input"] = io.BytesIO(body)
        response = self._served(environ, caller, action, body, rule)
        if rule is not None and rule.after and (refused := _fail(environ, caller, rule)):
            return refused
        return response

    def _page(self, environ: dict[str, Any], path: str) -> Response | None:
        """Answer who needs no key."""
        if path == "/health":
            return answers.text("ok\n")
        if path == "/checkip":
            return answers.text(f"{environ.get('REMOTE_ADDR', '127.0.0.1')}\n")
        if path.startswith(PAGE):
            with self._cloud.lock:
                return self._roles.answer(environ["REQUEST_METHOD"], path)
        return None

    def _own_page(
        self, environ: dict[str, Any], path: str, body: bytes, *, of_owner: bool
    ) -> Response:
        """Answer what is no call of AWS's."""
        if of_owner and path.startswith("/control/"):
            return self._control(environ["REQUEST_METHOD"], path, body)
        return answers.text("there is no such page\n", 404)

    def _served(
        self, environ: dict[str, Any], caller: Caller, action: str, body: bytes, rule: Rule | None
    ) -> Response:
        """Answer a call by the service that it is for."""
        if caller.service == "pricing":
            return pricing.answer(action, json.loads(body or b"{}"))
        if caller.service == "servicequotas":
            return self._cloud.quotas.answer(action, json.loads(body or b"{}"), caller.region)
        return self._call_moto(environ, caller, action, rule)

    def _lets_in(self, caller: Caller) -> bool:
        if not caller.is_owner(self._credentials) and self._renewed is not None:
            # The file with the key, which is its owner's only, was lost and made anew.
            self._credentials = self._renewed()
            self._roles = Roles(self._cloud, self._credentials)
        return caller.is_owner(self._credentials)

    def _call_moto(
        self, environ: dict[str, Any], caller: Caller, action: str, rule: Rule | None
    ) -> Response:
        with self._cloud.lock, self._cloud.standing_in():
            if caller.service == "ssm":
                self._cloud.publish_images(caller.region)
            try:
                with self._lagging(caller, action, rule):
                    response = Response.from_app(self._moto, environ, buffered=True)
            except NotImplementedError as error:
                log.info("%s: %s", action, error)
                return answers.error(
                    caller.service,
                    "UnsupportedOperation",
                    f"The local cloud does not have {action}, or not with these parameters: "
                    f"{error}",
                )
            # What is saved is EC2's; objects of S3 are gone with the process.
            if caller.service != "s3" and not action.startswith(_READING):
                self._cloud.save()
                self._changed()
        if response.status_code >= 500:
            log.error("%s: %s", action, response.get_data(as_text=True)[:2000])
        return response

    @contextlib.contextmanager
    def _lagging(self, caller: Caller, action: str, rule: Rule | None) -> Iterator[None]:
        """Let the call not know of what was made a moment ago, where a rule said so."""
        things, tags = (rule.lag, rule.tag_lag) if rule else (0, 0)
        if not (things or tags or caller.region in self._lags):
            yield
            return
        backend = self._cloud.backend(DEFAULT_ACCOUNT_ID, caller.region)
        lags = self._lags.setdefault(caller.region, Lags())
        with lags.noting(backend, things=things, tags=tags), lags.hiding(backend, action):
            yield

    def _control(self, method: str, path: str, body: bytes) -> Response:
        faults = self._cloud.faults
        if path == "/control/faults" and method == "POST":
            try:
                faults.replace(json.loads(body or b"[]"))
            except (ValueError, TypeError) as error:
                return answers.document({"error": str(error)}, 400)
            return answers.document(faults.listed())
        if path == "/control/faults" and method == "GET":
            return answers.document(faults.listed())
        tellers: dict[str, Callable[[Any], object]] = {
            "/control/capacity": self._cloud.capacity.replace,
            "/control/prices": market.tell,
            "/control/quotas": lambda told: self._cloud.quotas.replace(told or {}),
            "/control/notices": lambda told: metadata.announce(told, self._cloud.instances()),
        }
        if path in tellers and method == "POST":
            rules = json.loads(body or b"[]")
            try:
                with self._cloud.lock:
                    tellers[path](rules)
                    self._cloud.save()
            except (ValueError, TypeError, AttributeError) as error:
                return answers.document({"error": str(error)}, 400)
            self._changed()
            return answers.document(rules)
        if path == "/control/limits" and method == "POST":
            self._cloud.limits.on = json.loads(body or b"false") is True
            return answers.document(self._cloud.limits.on)
        if path == "/control/status" and method == "GET":
            return answers.document(self._status())
        return answers.document({"error": f"there is no {method} {path}"}, 404)


def _body(environ: dict[str, Any], largest: int) -> bytes:
    size = int(environ.get("CONTENT_LENGTH") or 0)
    if size > largest:
        raise ValueError("the body of a request is too large")
    body: bytes = environ["wsgi.input"].read(size) if size else b""
    return body


def _call(environ: dict[str, Any], body: bytes) -> tuple[str, dict[str, str]]:
    """Return the name of the action and its parameters as they are sent."""
    target = str(environ.get("HTTP_X_AMZ_TARGET") or "")
    if target:
        try:
            sent = json.loads(body or b"{}")
        except ValueError:
            sent = {}
        params = (
            {name: str(value) for name, value in sent.items()} if isinstance(sent, dict) else {}
        )
        return target.rpartition(".")[2], params
    params = dict(parse_qsl(str(environ.get("QUERY_STRING") or ""), keep_blank_values=True))
    if str(environ.get("CONTENT_TYPE") or "").startswith("application/x-www-form-urlencoded"):
        params.update(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    return params.get("Action", environ["REQUEST_METHOD"]), params


def _fail(environ: dict[str, Any], caller: Caller, rule: Rule) -> Response | None:
    """Do to a call what a rule says; return the error that is its answer, if it has one."""
    time.sleep(rule.delay)
    if not (rule.code or rule.drop):
        return None
    if rule.drop:
        # The server would wait for the next request on it.
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionResetError
    message = rule.message or "The local cloud was told to fail this call."
    return answers.error(caller.service, rule.code, message, rule.status)
