"""Errors of AWS in a user's words."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    NoCredentialsError,
    ReadTimeoutError,
)

from spotcluster.aws import calls
from spotcluster.aws.calls import call, call_soon
from spotcluster.aws.session import Session, check_region
from spotcluster.errors import CapacityError, CloudError, CredentialsError, UsageError


def refuse(code: str, message: str = "It says no.") -> Any:
    def run_instances(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": message}}, "RunInstances")

    return run_instances


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SpotMaxPriceTooLow", CapacityError),
        ("InsufficientInstanceCapacity", CapacityError),
        ("MaxSpotInstanceCountExceeded", CapacityError),
        ("VcpuLimitExceeded", CapacityError),
        ("AuthFailure", CredentialsError),
        ("ExpiredToken", CredentialsError),
        ("UnauthorizedOperation", CloudError),
        ("InvalidKeyPair.NotFound", CloudError),
    ],
)
def test_refusal_is_translated_and_says_what_to_do(code: str, kind: type[CloudError]) -> None:
    with pytest.raises(kind) as caught:
        call(refuse(code))
    assert caught.value.code == code
    assert "It says no" in caught.value.message
    assert caught.value.hint


def test_no_credentials_says_how_to_get_some() -> None:
    def describe(**_: Any) -> None:
        raise NoCredentialsError

    with pytest.raises(CredentialsError, match="aws configure"):
        call(describe)


class Answers:
    """A call that meets these errors in turn, and then is answered."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked: list[dict[str, Any]] = []

    def run_instances(self, **given: Any) -> str:
        self.asked.append(given)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def refusal(code: str, status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "RunInstances")


@pytest.mark.parametrize(
    "error",
    [
        refusal("RequestLimitExceeded", 503),
        refusal("InternalError", 500),
        refusal("Whatever", 502),
        ConnectTimeoutError(endpoint_url="https://ec2"),
        ReadTimeoutError(endpoint_url="https://ec2"),
        ConnectionClosedError(endpoint_url="https://ec2"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_passes_is_asked_again_with_the_same_parameters(error: Exception) -> None:
    answers = Answers(error, error)
    assert call(answers.run_instances, ClientToken="t") == "done"
    assert answers.asked == [{"ClientToken": "t"}] * 3


@pytest.mark.parametrize(
    "error",
    [refusal("InsufficientInstanceCapacity", 500), refusal("InvalidAMIID.NotFound")],
    ids=["capacity", "unknown"],
)
def test_what_does_not_pass_is_not_asked_again(error: Exception) -> None:
    answers = Answers(error)
    with pytest.raises(CloudError):
        call(answers.run_instances)
    assert len(answers.asked) == 1


def test_what_was_just_made_is_asked_for_until_it_is_known() -> None:
    answers = Answers(refusal("InvalidGroup.NotFound"), refusal("InvalidGroup.NotFound"))
    assert call_soon(answers.run_instances, unknown=["InvalidGroup.NotFound"]) == "done"


class Silent:
    """A client whose calls get no answer."""

    def describe(self, **_: Any) -> None:
        raise ConnectTimeoutError(endpoint_url="https://ec2")


def test_no_answer_is_a_cloud_error() -> None:
    client = Silent()
    calls.made_by(client, calls.Behind(calls.Patience(unanswered=0.3)))
    with pytest.raises(CloudError, match="did not answer Describe"):
        call(client.describe)


def test_parameters_that_are_none_are_left_out() -> None:
    assert call(lambda **given: given, A=1, B=None) == {"A": 1}


def test_unknown_region_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'us-east-1'"):
        check_region("us-east-11")


def test_unknown_profile_is_named() -> None:
    with pytest.raises(UsageError, match="no profile 'nobody'"):
        Session("us-east-1", profile="nobody")
