"""Calls to AWS: answered, or refused with an error that a user understands."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from spotcluster.aws import login
from spotcluster.errors import CapacityError, CloudError, CredentialsError

_NO_CREDENTIALS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run `aws configure` or `aws sso login`, or"
    " try without an account: `spotcluster -r local ...`."
)

_HINTS = {
    "SpotMaxPriceTooLow": "Raise the bid (-b), or see `spotcluster spothistory TYPE`.",
    "InsufficientInstanceCapacity": "Try another instance type or zone, or try again later.",
    "InsufficientFreeAddressesInSubnet": "Choose another subnet with SUBNET_ID.",
    "MaxSpotInstanceCountExceeded": "Ask AWS for a larger spot quota, or terminate spot nodes.",
    "VcpuLimitExceeded": "Ask AWS for a larger vCPU quota, or choose smaller instances.",
    "InstanceLimitExceeded": "Ask AWS for a larger quota, or terminate instances.",
    "ReservationCapacityExceeded": "Launch fewer nodes, or leave CAPACITY_RESERVATION out.",
    "VolumeLimitExceeded": "Ask AWS for a larger quota, or delete volumes.",
    "Unsupported": "Try another instance type or zone.",
    "InvalidKeyPair.NotFound": "Create it with `spotcluster createkey NAME -o FILE`.",
    "InvalidAMIID.NotFound": "Leave NODE_IMAGE_ID out to use the default image of the region.",
    "InvalidAMIID.Malformed": "Leave NODE_IMAGE_ID out to use the default image of the region.",
    "RequestLimitExceeded": "EC2 is throttling this account; try again in a minute.",
}
_CAPACITY = frozenset(list(_HINTS)[:9])
_THROTTLED = frozenset(
    {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "EC2ThrottledException",
        "TooManyRequestsException",
        "BandwidthLimitExceeded",
    }
)
_PASSING = frozenset(
    {"InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "RequestTimeout"}
)

# botocore's own retries share a budget that half the calls being throttled uses up in a minute,
# so the policy is ours: as long as a limit in time allows, with pauses that grow and differ.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0


@dataclass(frozen=True)
class Patience:
    """For how long calls are repeated, in seconds.

    Attributes
    ----------
    throttled : float
        A call that EC2 throttles.
    unanswered : float
        A call that got no answer, or an internal error.
    settle : float
        A call about what was just made, until EC2 knows of it everywhere.
    """

    throttled: float = 180.0
    unanswered: float = 60.0
    settle: float = 60.0


USUAL = Patience()
"""Without anything in the config."""


@dataclass(frozen=True)
class Behind:
    """What the session that made a boto3 client knows of it.

    Attributes
    ----------
    profile : str or None
        The profile of the AWS config files that it logs in with.
    """

    patience: Patience = USUAL
    profile: str | None = None


# By client, on which nothing of ours is hung; gone with it.
_behind: WeakKeyDictionary[Any, Behind] = WeakKeyDictionary()


def made_by(client: Any, behind: Behind) -> None:
    """Note what is behind a client, for the calls of its methods."""
    _behind[client] = behind


def behind(operation: Callable[..., Any]) -> Behind:
    """Return what is behind the client whose method `operation` is."""
    client = getattr(operation, "__self__", None)
    return Behind() if client is None else _behind.get(client, Behind())


_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "OptInRequired",
    }
)


def call(operation: Callable[..., Any], /, **parameters: Any) -> Any:
    """Call a method of a boto3 client and return its answer.

    Parameters
    ----------
    operation : callable
        A bound method of a client, ``session.ec2.run_instances``.
    **parameters
        Its parameters; those that are None are left out.

    Raises
    ------
    CredentialsError
        No credentials, expired ones, or ones that AWS does not accept.
    CapacityError
        No capacity, a quota is used up, or the bid is too low.
    CloudError
        Anything else that AWS refused, or no answer; `code` is EC2's own.

    Notes
    -----
    A call that is throttled, gets no answer or meets an internal error is repeated. It may have
    taken effect all the same: those that make something carry a client token or a name that is
    taken only once.
    """
    return _repeat(operation, parameters, passing=())


def once(operation: Callable[..., Any], /, **parameters: Any) -> Any:
    """Make a call as `call` does, but not again: what it is asked for is not needed."""
    return _once(operation, parameters)


def every(operation: Callable[..., Any], key: str, /, **parameters: Any) -> Iterator[Any]:
    """Make a call that lists things, and go on as long as EC2 says that there are more.

    EC2 may cut any list into pages, also where nobody asked for it.

    Parameters
    ----------
    key : str
        The list in the answer: ``"Volumes"``.
    """
    following: str | None = None
    while True:
        answer = call(operation, **parameters, NextToken=following)
        yield from answer[key]
        following = answer.get("NextToken")
        if not following:
            return


def call_soon(
    operation: Callable[..., Any], /, *, unknown: Collection[str], **parameters: Any
) -> Any:
    """Make a call about something that was made a moment ago.

    Parameters
    ----------
    unknown : collection of str
        Codes by which EC2 says that it does not know of it yet; repeated for a while.
    """
    return _repeat(operation, parameters, passing=unknown)


def _repeat(
    operation: Callable[..., Any], parameters: dict[str, Any], *, passing: Collection[str]
) -> Any:
    begin = time.monotonic()
    pause = _FIRST_PAUSE
    patience = behind(operation).patience
    while True:
        try:
            return _once(operation, parameters)
        except CloudError as error:
            limit = patience.settle if error.code in passing else _limit(error, patience)
            wait = pause * (0.5 + random.random() / 2)  # noqa: S311 - so that callers spread
            if time.monotonic() - begin + wait > limit:
                raise
        time.sleep(wait)
        pause = min(pause * 1.7, _LONGEST_PAUSE)


def _limit(error: CloudError, patience: Patience) -> float:
    """Return for how many seconds a call that failed so is repeated; 0 for not at all."""
    if error.code in _THROTTLED:
        return patience.throttled
    return patience.unanswered if error.passing else 0.0


def _once(operation: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    import botocore.exceptions as boto_errors

    words = getattr(operation, "__name__", "call").split("_")
    name = "".join(word.title() for word in words)  # as EC2 and its policies call it
    given = {key: value for key, value in parameters.items() if value is not None}
    try:
        return operation(**given)
    except boto_errors.ClientError as error:
        raise _refused(name, error) from error
    except (
        boto_errors.NoCredentialsError,
        boto_errors.PartialCredentialsError,
        boto_errors.CredentialRetrievalError,
    ) as error:
        raise CredentialsError(
            f"There are no usable AWS credentials: {error}.", _NO_CREDENTIALS
        ) from error
    except (
        boto_errors.TokenRetrievalError,
        boto_errors.SSOError,
        getattr(boto_errors, "LoginError", boto_errors.SSOError),  # since botocore 1.41
    ) as error:
        raise _logged_out(operation, error) from error
    except (boto_errors.ProfileNotFound, boto_errors.ConfigParseError) as error:
        raise CredentialsError(
            f"There are no usable AWS credentials: {str(error).rstrip('.')}.",
            "Correct the AWS config files, or write them anew with `aws configure`.",
        ) from error
    except boto_errors.BotoCoreError as error:
        refused = CloudError(
            f"EC2 did not answer {name}: {error}", "Check the network and the region, then repeat."
        )
        refused.passing = isinstance(
            error, (boto_errors.HTTPClientError, boto_errors.ConnectionError)
        ) and not isinstance(error, (boto_errors.ProxyConnectionError, boto_errors.SSLError))
        raise refused from error


def _logged_out(operation: Callable[..., Any], error: Exception) -> CredentialsError:
    """Return the error of a profile whose login is missing or has expired, with what renews it."""
    profile = behind(operation).profile
    renewal = login.command(profile) if profile else ""
    if not renewal:
        reason = str(error).rstrip(".")
        return CredentialsError(f"There are no usable AWS credentials: {reason}.", _NO_CREDENTIALS)
    return CredentialsError(
        f"The AWS login of the profile '{profile}' has expired, or was never made.",
        f"Run `{renewal}`, then repeat.",
    )


def _refused(name: str, error: Any) -> CloudError:
    detail = error.response.get("Error", {})
    code, message = detail.get("Code", ""), detail.get("Message", str(error))
    made = refused(name, code, message, service=_service(error))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500 and code not in _HINTS and type(made) is CloudError:
        made.passing = True
    return made


def refused(name: str, code: str, message: str, *, service: str = "ec2") -> CloudError:
    """Return the error for what EC2 refused, by its code; a fleet's parts are refused so too."""
    message = message.rstrip(".")
    text = f"EC2 refused {name}: {message} ({code})."
    if code in _CREDENTIALS:
        return CredentialsError(text, _NO_CREDENTIALS, code=code)
    if code in ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException"):
        # A call may need several actions, and AWS mostly says which one was missing.
        named = re.search(r"not authorized to perform: ([\w-]+:\w+)", message)
        action = named[1] if named else f"{service}:{name}"
        return CloudError(
            text,
            f"The policy of these credentials lacks the action {action};"
            " `spotcluster iam-policy` prints a policy that has all.",
            code=code,
        )
    if code in _CAPACITY:
        return CapacityError(text, _HINTS[code], code=code)
    made = CloudError(text, _HINTS.get(code, ""), code=code)
    made.passing = code in _PASSING
    return made


def _service(error: Any) -> str:
    operation = getattr(error, "operation_name", "")
    services = {
        "GetParameter": "ssm",
        "GetParametersByPath": "ssm",
        "PutParameter": "ssm",
        "GetProducts": "pricing",
        "GetServiceQuota": "servicequotas",
    }
    return services.get(operation, "ec2")
