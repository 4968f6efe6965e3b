"""Calls to AWS: answered, or refused with an error that a user understands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    "InvalidKeyPair.NotFound": "Create it with `spotcluster createkey NAME -o FILE`.",
    "InvalidAMIID.NotFound": "Leave NODE_IMAGE_ID out to use the default image of the region.",
    "InvalidAMIID.Malformed": "Leave NODE_IMAGE_ID out to use the default image of the region.",
    "RequestLimitExceeded": "EC2 is throttling this account; try again in a minute.",
}
_CAPACITY = frozenset(list(_HINTS)[:6])
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
    """
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
        boto_errors.TokenRetrievalError,
        boto_errors.SSOError,
    ) as error:
        raise CredentialsError(
            f"There are no usable AWS credentials: {error}.", _NO_CREDENTIALS
        ) from error
    except boto_errors.BotoCoreError as error:
        raise CloudError(
            f"EC2 did not answer {name}: {error}", "Check the network and the region, then repeat."
        ) from error


def _refused(name: str, error: Any) -> CloudError:
    detail = error.response.get("Error", {})
    code, message = detail.get("Code", ""), detail.get("Message", str(error)).rstrip(".")
    text = f"EC2 refused {name}: {message} ({code})."
    if code in _CREDENTIALS:
        return CredentialsError(text, _NO_CREDENTIALS, code=code)
    if code in ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException"):
        return CloudError(
            text, f"The policy of these credentials lacks the action of {name}; add it.", code=code
        )
    kind = CapacityError if code in _CAPACITY else CloudError
    return kind(text, _HINTS.get(code, ""), code=code)
