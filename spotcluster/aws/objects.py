"""An S3 bucket through which split files reach the hosts of a cluster."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

from spotcluster.aws.session import Session
from spotcluster.errors import CloudError

PREFIX = "spotcluster/splits/"
"""What the names of all our files begin with."""
_VALID = 12 * 3600  # seconds; a search that runs longer asks for new addresses for its new hosts
_OLD = dt.timedelta(days=30)  # without being used by a search that began


class Bucket:
    """Keeps files under the names of their content, see `spotcluster.depots.Depot`.

    Parameters
    ----------
    session : Session
        Whose credentials sign the addresses; the hosts need none.
    name : str
        The bucket. It must be there.
    """

    def __init__(self, session: Session, name: str) -> None:
        from botocore.config import Config

        self.name = name
        self._s3: Any = session.client(
            "s3",
            config=Config(
                signature_version="s3v4",
                # An upload is many calls, which boto3 makes, and so repeats, by itself.
                retries={"mode": "standard", "total_max_attempts": 8},
            ),
        )
        self._there: set[str] = set()
        self._pruned = False
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise a CloudError unless the bucket is there and may be used."""
        self._call("be looked at", self._s3.head_bucket)

    def upload(self, path: str, digest: str) -> None:
        """Put a file there, unless it is there.

        Raises
        ------
        CloudError
            If S3 does not take it.
        """
        with self._lock:
            if digest in self._there:
                return
            if not self._pruned:
                self._prune()
                self._pruned = True
            key = PREFIX + digest
            if not self._has(key):
                self._call("be written to", self._s3.upload_file, Filename=path, Key=key)
            self._there.add(digest)

    def url(self, digest: str) -> str:
        """Return an address from which anyone can read a file for some hours."""
        parameters = {"Bucket": self.name, "Key": PREFIX + digest}
        url: str = self._s3.generate_presigned_url(
            "get_object", Params=parameters, ExpiresIn=_VALID
        )
        return url

    def _has(self, key: str) -> bool:
        """Return whether a file is there, and young enough to stay while a search needs it."""
        pages = self._call("be listed", self._s3.list_objects_v2, Prefix=key, MaxKeys=1)
        return any(
            found["Key"] == key and _age(found) < _OLD - dt.timedelta(days=7)
            for found in pages.get("Contents", [])
        )

    def _prune(self) -> None:
        """Remove what nobody has used for long: nobody else would, and it costs money."""
        more: dict[str, Any] = {"Prefix": PREFIX}
        while more:
            page = self._call("be listed", self._s3.list_objects_v2, **more)
            old = [{"Key": x["Key"]} for x in page.get("Contents", []) if _age(x) > _OLD]
            if old:
                self._call("be pruned", self._s3.delete_objects, Delete={"Objects": old})
            token = page.get("NextContinuationToken")
            more = {"Prefix": PREFIX, "ContinuationToken": token} if token else {}

    def _call(self, doing: str, operation: Any, **parameters: Any) -> Any:
        import boto3.exceptions
        import botocore.exceptions

        try:
            return operation(Bucket=self.name, **parameters)
        except (
            botocore.exceptions.ClientError,
            botocore.exceptions.BotoCoreError,
            boto3.exceptions.Boto3Error,
        ) as error:
            raise CloudError(
                f"The bucket '{self.name}' cannot {doing}: {error}",
                "Check SPLITS_BUCKET and what the credentials may do with it, or leave it out:"
                " then the cluster itself passes the files on.",
            ) from error


def _age(found: dict[str, Any]) -> dt.timedelta:
    age: dt.timedelta = dt.datetime.now(dt.UTC) - found["LastModified"]
    return age
