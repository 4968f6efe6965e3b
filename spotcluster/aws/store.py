"""Files of the user's in an S3 bucket: listed, and addressed so that a node can move them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spotcluster.aws.session import Session
from spotcluster.errors import CloudError, UsageError

_VALID = 12 * 3600  # seconds for which an address holds; less where the credentials end earlier
SCHEME = "s3://"


@dataclass(frozen=True)
class Object:
    """An object of a bucket.

    Attributes
    ----------
    etag : str
        What S3 calls it: mostly the MD5 of its content, or of the MD5s of its parts.
    modified : float
        When it was written, in seconds since 1970.
    """

    key: str
    size: int
    etag: str
    modified: float


@dataclass(frozen=True)
class Place:
    """A bucket, and the key that an address names in it."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, address: str) -> Place:
        """Read ``s3://bucket/key``.

        Raises
        ------
        UsageError
            It names no bucket.
        """
        bucket, _, key = address.removeprefix(SCHEME).partition("/")
        if not bucket:
            raise UsageError(f"'{address}' names no bucket.", "Give s3://BUCKET/PREFIX.")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


class Store:
    """A bucket.

    Parameters
    ----------
    session : Session
        Whose credentials sign the addresses; they stay on this computer.
    bucket : str
        Its name.

    Raises
    ------
    CloudError
        It is not there, or may not be used.
    """

    def __init__(self, session: Session, bucket: str) -> None:
        self.bucket = bucket
        self._s3 = _client(session)
        # An address is signed for one region, and the bucket need not be in the cluster's.
        head = self._call("be looked at", self._s3.head_bucket)
        region = head["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
        if region and region != self._s3.meta.region_name:
            self._s3 = _client(session, region_name=region)

    def objects(self, prefix: str) -> Iterator[Object]:
        """Yield the objects whose keys begin with `prefix`, in the order of their keys."""
        more: dict[str, Any] = {}
        while True:
            page = self._call("be listed", self._s3.list_objects_v2, Prefix=prefix, **more)
            for one in page.get("Contents", []):
                modified = one["LastModified"].timestamp()
                yield Object(one["Key"], one["Size"], one["ETag"].strip('"'), modified)
            if not (token := page.get("NextContinuationToken")):
                return
            more = {"ContinuationToken": token}

    def part_size(self, key: str) -> int:
        """Return the size of the first part of an object that was written in parts."""
        head = self._call("be read from", self._s3.head_object, Key=key, PartNumber=1)
        return int(head["ContentLength"])

    def unfinished(self, prefix: str) -> dict[str, str]:
        """Return the ids of uploads in parts that were cut off, by key."""
        found: dict[str, str] = {}
        more: dict[str, Any] = {}
        while True:
            page = self._call("be listed", self._s3.list_multipart_uploads, Prefix=prefix, **more)
            for one in page.get("Uploads", []):
                found[one["Key"]] = one["UploadId"]
            if not page.get("IsTruncated"):
                return found
            more = {
                "KeyMarker": page["NextKeyMarker"],
                "UploadIdMarker": page["NextUploadIdMarker"],
            }

    def parts(self, key: str, upload: str) -> dict[int, tuple[int, str]]:
        """Return the size and ETag of the parts of an upload that are there."""
        found: dict[int, tuple[int, str]] = {}
        more: dict[str, Any] = {}
        while True:
            page = self._call("be listed", self._s3.list_parts, Key=key, UploadId=upload, **more)
            for one in page.get("Parts", []):
                found[one["PartNumber"]] = (one["Size"], one["ETag"].strip('"'))
            if not page.get("IsTruncated"):
                return found
            more = {"PartNumberMarker": page["NextPartNumberMarker"]}

    def begin(self, key: str) -> str:
        """Begin an upload in parts and return its id."""
        made = self._call("be written to", self._s3.create_multipart_upload, Key=key)
        return str(made["UploadId"])

    def finish(self, key: str, upload: str, etags: list[str]) -> str:
        """Make an object of the parts of an upload; return its ETag."""
        parts = [{"PartNumber": number, "ETag": one} for number, one in enumerate(etags, 1)]
        made = self._call(
            "be written to",
            self._s3.complete_multipart_upload,
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": parts},
        )
        return str(made["ETag"]).strip('"')

    def abandon(self, key: str, upload: str) -> None:
        """Give up an upload in parts: what is there of it costs money."""
        self._call("be written to", self._s3.abort_multipart_upload, Key=key, UploadId=upload)

    def address(self, key: str, *, upload: str = "", part: int = 0, write: bool = False) -> str:
        """Return an address for reading an object, or for writing it or a part of it.

        Whoever has it can do just that, for some hours.
        """
        operation = "upload_part" if part else "put_object" if write else "get_object"
        given: dict[str, Any] = {"Bucket": self.bucket, "Key": key}
        if part:
            given |= {"UploadId": upload, "PartNumber": part}
        url: str = self._s3.generate_presigned_url(operation, Params=given, ExpiresIn=_VALID)
        return url

    def _call(self, doing: str, operation: Any, **parameters: Any) -> Any:
        import botocore.exceptions

        try:
            return operation(Bucket=self.bucket, **parameters)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
            if code in ("404", "NoSuchBucket"):
                raise CloudError(
                    f"There is no bucket '{self.bucket}'.", "`aws s3 ls` lists yours.", code=code
                ) from error
            raise CloudError(
                f"The bucket '{self.bucket}' cannot {doing}: {error}",
                "Check its name and what the credentials may do with it; `spotcluster iam-policy"
                f" --files {self.bucket}` prints what is needed.",
            ) from error


def _client(session: Session, **more: Any) -> Any:
    from botocore.config import Config

    config = Config(
        signature_version="s3v4",
        # Many calls make one copy, so boto3 repeats each by itself.
        retries={"mode": "standard", "total_max_attempts": 8},
        # A node sends what is signed here and nothing more.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return session.client("s3", config=config, **more)
