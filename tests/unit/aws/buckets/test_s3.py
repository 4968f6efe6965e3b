"""What is said where S3 refuses, and lists that come in pages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotcluster.aws.buckets.objects import Bucket
from spotcluster.aws.buckets.store import Store
from spotcluster.errors import CloudError


class S3:
    """A client whose bucket is refused, or holds three objects that come in three pages."""

    def __init__(self, code: str = "") -> None:
        self.code = code
        self.meta = SimpleNamespace(region_name="us-east-1")
        self.asked: list[dict[str, Any]] = []

    def head_bucket(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        if self.code:
            raise ClientError({"Error": {"Code": self.code, "Message": "No"}}, "HeadBucket")
        return {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": "eu-west-1"}}}

    def list_objects_v2(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        number = int(asked.get("ContinuationToken", 0))
        when = SimpleNamespace(timestamp=lambda: 0.0)
        found = {"Key": f"p/{number}", "Size": 1, "ETag": '"e"', "LastModified": when}
        following = {"NextContinuationToken": str(number + 1)} if number < 2 else {}
        return {"Contents": [found], **following}


class Session:
    """A session that has made one such client after the other, and knows with what."""

    def __init__(self, code: str = "") -> None:
        self.code = code
        self.made: list[dict[str, Any]] = []
        self.clients: list[S3] = []

    def client(self, _: str, **given: Any) -> S3:
        self.made.append(given)
        self.clients.append(S3(self.code))
        return self.clients[-1]


def test_bucket_of_the_users_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(CloudError) as caught:
        Store(Session("404"), "mine")  # type: ignore[arg-type]
    assert caught.value.message == "There is no bucket 'mine'."
    assert caught.value.hint == "`aws s3 ls` lists yours."
    assert caught.value.code == "404"


def test_refused_bucket_is_named_with_what_it_was_for() -> None:
    with pytest.raises(CloudError, match=r"'mine' cannot be looked at: .*403") as caught:
        Store(Session("403"), "mine")  # type: ignore[arg-type]
    assert "`spotcluster iam-policy --files mine`" in caught.value.hint
    with pytest.raises(CloudError, match=r"^The bucket 'splits' cannot be looked at") as caught:
        Bucket(Session("404"), "splits").check()  # type: ignore[arg-type]
    assert "SPLITS_BUCKET" in caught.value.hint


def test_objects_are_listed_to_the_end_in_the_region_of_their_bucket() -> None:
    session = Session()
    store = Store(session, "mine")  # type: ignore[arg-type]
    assert [one.key for one in store.objects("p/")] == ["p/0", "p/1", "p/2"]
    assert [one.get("region_name") for one in session.made] == [None, "eu-west-1"]
    assert session.clients[1].asked[0] == {"Bucket": "mine", "Prefix": "p/"}
