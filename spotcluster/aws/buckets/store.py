"""Files of the user's in an S3 bucket: listed, and addressed so that a node can move them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spotcluster.aws.buckets import s3
from spotcluster.aws.session import Session
from spotcluster.errors import UsageError

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
        self._s3 = s3.Calls(
            session,
            bucket,
            "Check its name and what the credentials may do with it; `spotcluster iam-policy"
            f" --files {bucket}` prints what is needed.",
            where_missing="`aws s3 ls` lists yours.",
            # A node sends what is signed here and nothing more.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        # An address is signed for one region, and the bucket need not be in the cluster's.
        head = self._s3.call("be looked at", "head_bucket")
        region = head["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
        if region and region != self._s3.client.meta.region_name:
            self._s3.change_region(region)

    def objects(self, prefix: str) -> Iterator[Object]:
        """Yield the objects whose keys begin with `prefix`, in the order of their keys."""
        for page in self._s3.pages(prefix):
            for one in page:
                modified = one["LastModified"].timestamp()
                yield Object(one["Key"], one["Size"], one["ETag"].strip('"'), modified)

    def part_size(self, key: str) -> int:
        """Return the size of the first part of an object that was written in parts."""
        head = self._s3.call("be read from", "head_object", Key=key, PartNumber=1)
        return int(head["ContentLength"])

    def unfinished(self, prefix: str) -> dict[str, str]:
        """Return the ids of uploads in parts that were cut off, by key."""
        found: dict[str, str] = {}
        more: dict[str, Any] = {}
        while True:
            page = self._s3.call("be listed", "list_multipart_uploads", Prefix=prefix, **more)
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
            page = self._s3.call("be listed", "list_parts", Key=key, UploadId=upload, **more)
            for one in page.get("Parts", []):
                found[one["PartNumber"]] = (one["Size"], one["ETag"].strip('"'))
            if not page.get("IsTruncated"):
                return found
            more = {"PartNumberMarker": page["NextPartNumberMarker"]}

    def begin(self, key: str) -> str:
        """Begin an upload in parts and return its id."""
        made = self._s3.call("be written to", "create_multipart_upload", Key=key)
        return str(made["UploadId"])

    def finish(self, key: str, upload: str, etags: list[str]) -> str:
        """Make an object of the parts of an upload; return its ETag."""
        parts = [{"PartNumber": number, "ETag": one} for number, one in enumerate(etags, 1)]
        made = self._s3.call(
            "be written to",
            "complete_multipart_upload",
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": parts},
        )
        return str(made["ETag"]).strip('"')

    def abandon(self, key: str, upload: str) -> None:
        """Give up an upload in parts: what is there of it costs money."""
        self._s3.call("be written to", "abort_multipart_upload", Key=key, UploadId=upload)

    def address(self, key: str, *, upload: str = "", part: int = 0, write: bool = False) -> str:
        """Return an address for reading an object, or for writing it or a part of it.

        Whoever has it can do just that, for some hours.
        """
        operation = "upload_part" if part else "put_object" if write else "get_object"
        given = {"UploadId": upload, "PartNumber": part} if part else {}
        return self._s3.address(operation, key, **given)
