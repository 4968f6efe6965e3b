"""Errors of AWS in a user's words."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError

from spotcluster.aws.calls import call
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


def test_no_answer_is_a_cloud_error() -> None:
    def describe(**_: Any) -> None:
        raise ConnectTimeoutError(endpoint_url="https://ec2")

    with pytest.raises(CloudError, match="did not answer Describe"):
        call(describe)


def test_parameters_that_are_none_are_left_out() -> None:
    assert call(lambda **given: given, A=1, B=None) == {"A": 1}


def test_unknown_region_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'us-east-1'"):
        check_region("us-east-11")


def test_unknown_profile_is_named() -> None:
    with pytest.raises(UsageError, match="no profile 'nobody'"):
        Session("us-east-1", profile="nobody")
