"""An S3 bucket through which split files reach the hosts of a cluster."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

from spotcluster.aws.buckets import s3
from spotcluster.aws.session import Session

PREFIX = "spotcluster/splits/"
"""What the names of all our files begin with."""
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
        self.name = name
        self._s3 = s3.Calls(
            session,
            name,
            "Check SPLITS_BUCKET and what the credentials may do with it, or leave it out:"
            " then the cluster itself passes the files on.",
        )
        self._there: set[str] = set()
        self._pruned = False
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise a CloudError unless the bucket is there and may be used."""
        self._s3.call("be looked at", "head_bucket")

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
                self._s3.call("be written to", "upload_file", Filename=path, Key=key)
            self._there.add(digest)

    def url(self, digest: str) -> str:
        """Return an address from which anyone can read a file for some hours.

        A search that runs longer asks for new addresses for its new hosts.
        """
        return self._s3.address("get_object", PREFIX + digest)

    def _has(self, key: str) -> bool:
        """Return whether a file is there, and young enough to stay while a search needs it."""
        pages = self._s3.call("be listed", "list_objects_v2", Prefix=key, MaxKeys=1)
        return any(
            found["Key"] == key and _age(found) < _OLD - dt.timedelta(days=7)
            for found in pages.get("Contents", [])
        )

    def _prune(self) -> None:
        """Remove what nobody has used for long: nobody else would, and it costs money."""
        for page in self._s3.pages(PREFIX):
            old = [{"Key": one["Key"]} for one in page if _age(one) > _OLD]
            if old:
                self._s3.call("be pruned", "delete_objects", Delete={"Objects": old})


def _age(found: dict[str, Any]) -> dt.timedelta:
    age: dt.timedelta = dt.datetime.now(dt.UTC) - found["LastModified"]
    return age
