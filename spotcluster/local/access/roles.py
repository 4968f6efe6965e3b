"""The roles of instances: the keys that their machines get, and what those may do.

A machine asks the metadata service, as on EC2, which is here a page of the local cloud whose
address only that machine knows. Keys and address are made of the owner's secret key, so that
nothing has to be kept, and they are the same after the local cloud was started again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from werkzeug.wrappers import Response

from spotcluster.local import answers, clock
from spotcluster.local.cloud import Cloud
from spotcluster.local.instances import LocalInstance

from . import questions
from .callers import Caller, Credentials
from .policies import Question, allows

PAGE = "/machines/"
"""Where the metadata service of each machine is; then comes its own secret."""

_PERIOD = 6 * 3600.0  # seconds for which keys are handed out; they hold as long again
_ROLE = "latest/meta-data/iam/security-credentials/"


@dataclass(frozen=True)
class Keys:
    """The keys of an instance's role."""

    access_key: str
    secret_key: str
    token: str
    ends: float


class Roles:
    """What instances may do by their roles.

    Parameters
    ----------
    credentials : Credentials
        The owner's.
    """

    def __init__(self, cloud: Cloud, credentials: Credentials) -> None:
        self._cloud = cloud
        self._secret = credentials.secret_key

    def page(self, instance_id: str) -> str:
        """Return the path of a machine's metadata service."""
        return f"{PAGE}{self._made('page', instance_id)}"

    def variables(self, one: LocalInstance, url: str) -> dict[str, str]:
        """Return what programs on a machine find AWS by, where its instance has a role there."""
        if role_of(one) is None:
            return {}
        return {
            "AWS_ENDPOINT_URL": url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{url}{self.page(one.id)}/",
            "NO_PROXY": "127.0.0.1",  # the laptop's proxy is not for the way to itself
        }

    def answer(self, method: str, path: str) -> Response:
        """Answer a machine that asks the metadata service."""
        secret, _, asked = path.removeprefix(PAGE).partition("/")
        one = next(
            (
                each
                for each in self._cloud.instances()
                if hmac.compare_digest(secret, self._made("page", each.id))
            ),
            None,
        )
        if one is None:
            return answers.text("", 404)
        if (method, asked) == ("PUT", "latest/api/token"):
            return answers.text("none is needed")
        role = role_of(one)
        if method != "GET" or role is None or not asked.startswith(_ROLE):
            return answers.text("", 404)
        if asked == _ROLE:
            return answers.text(role.name)
        return answers.document(self.told(one)) if asked == _ROLE + role.name else _none()

    def caller(self, caller: Caller, token: str) -> LocalInstance | None:
        """Return the instance whose role a call is made by; None where it is none's."""
        if not caller.access_key.startswith("ASIA"):
            return None
        with self._cloud.lock:
            there = self._cloud.instances()
        for one in there:
            if role_of(one) is None or not one.is_live:
                continue
            for period in (self._period, self._period - 1):
                keys = self._keys(one, period)
                if hmac.compare_digest(keys.access_key, caller.access_key):
                    return one if hmac.compare_digest(keys.token.encode(), token.encode()) else None
        return None

    def refusal(
        self,
        one: LocalInstance,
        caller: Caller,
        action: str,
        params: Mapping[str, str],
        request: Mapping[str, Any],
    ) -> Response | None:
        """Return the answer to a call that an instance's role does not allow; None if it does."""
        role = role_of(one)
        documents = list(_documents(role))
        for asked in self._asked(caller, action, params, request):
            if allows(documents, asked):
                continue
            who = f"arn:aws:sts::{one.ec2_backend.account_id}:assumed-role/{role.name}/{one.id}"
            text = (
                f"User: {who} is not authorized to perform: {asked.action} on resource:"
                f" {asked.resource} because no identity-based policy allows the {asked.action}"
                " action"
            )
            if caller.service == "ec2":
                text = f"You are not authorized to perform this operation. {text}"
                return answers.error("ec2", "UnauthorizedOperation", text, 403)
            code = "AccessDenied" if caller.service in ("s3", "iam", "sts") else _DENIED
            return answers.error(caller.service, code, text, 403)
        return None

    def _asked(
        self, caller: Caller, action: str, params: Mapping[str, str], request: Mapping[str, Any]
    ) -> Iterator[Question]:
        if caller.service == "ec2":
            backend = self._cloud.backend(DEFAULT_ACCOUNT_ID, caller.region)
            yield from questions.of_ec2(backend, action, params)
        elif caller.service == "s3":
            yield questions.of_s3(str(request["REQUEST_METHOD"]), str(request.get("PATH_INFO")))
        elif caller.service == "ssm":
            yield questions.of_ssm(caller.region, action, params)
        else:
            yield Question(f"{caller.service}:{action}")

    def told(self, one: LocalInstance) -> dict[str, str]:
        """Return what the metadata service says of the keys of an instance's role."""
        keys = self._keys(one, self._period)
        return {
            "Code": "Success",
            "LastUpdated": _text(keys.ends - 2 * _PERIOD),
            "Type": "AWS-HMAC",
            "AccessKeyId": keys.access_key,
            "SecretAccessKey": keys.secret_key,
            "Token": keys.token,
            "Expiration": _text(keys.ends),
        }

    @property
    def _period(self) -> int:
        return int(clock.seconds() // _PERIOD)

    def _keys(self, one: LocalInstance, period: int) -> Keys:
        name = self._made("key", one.id, period)[:16].upper().replace("-", "2").replace("_", "3")
        return Keys(
            f"ASIA{name}",
            self._made("secret", one.id, period),
            self._made("token", one.id, period),
            (period + 2) * _PERIOD,
        )

    def _made(self, *parts: object) -> str:
        text = "\0".join(map(str, parts)).encode()
        made = hmac.digest(self._secret.encode(), text, hashlib.sha256)
        return base64.urlsafe_b64encode(made).decode().rstrip("=")


_DENIED = "AccessDeniedException"


def role_of(one: LocalInstance) -> Any:
    """Return the role of an instance; None where it has none."""
    found = one.ec2_backend.iam_instance_profile_associations.get(one.id)
    roles = found.iam_instance_profile.roles if found else ()
    return roles[0] if roles else None


def _documents(role: Any) -> Iterator[Mapping[str, Any]]:
    for text in role.policies.values():
        yield json.loads(text)
    for one in role.managed_policies.values():
        version = next(each for each in one.versions if each.is_default)
        yield json.loads(version.document)


def _none() -> Response:
    return answers.text("", 404)


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
