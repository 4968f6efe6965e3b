"""Calls to one bucket of S3: answered, or refused with an error that a user understands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spotcluster.aws.session import Session
from spotcluster.errors import CloudError

_VALID = 12 * 3600  # seconds for which an address holds; less where the credentials end earlier


class Calls:
    """Calls about the bucket `bucket`; a refused one says `hint`.

    Parameters
    ----------
    where_missing : str, optional
        The hint where S3 says that it is not there, and it is not just refused then.
    **config
        What boto3's client is to do otherwise; see botocore's Config.
    """

    def __init__(
        self,
        session: Session,
        bucket: str,
        hint: str,
        *,
        where_missing: str = "",
        **config: Any,
    ) -> None:
        self.bucket = bucket
        self._session = session
        self._hint = hint
        self._where_missing = where_missing
        self._config = config
        self.client: Any = self._made()

    def _made(self, **where: Any) -> Any:
        from botocore.config import Config

        config = Config(
            signature_version="s3v4",
            # Many calls make one copy, and boto3 makes them, so it repeats each by itself.
            retries={"mode": "standard", "total_max_attempts": 8},
            **self._config,
        )
        return self._session.client("s3", config=config, **where)

    def change_region(self, region: str) -> None:
        """Go on in the region that the bucket is in."""
        self.client = self._made(region_name=region)

    def call(self, doing: str, operation: str, **parameters: Any) -> Any:
        """Call a method of the client and return its answer.

        Parameters
        ----------
        doing : str
            What the bucket cannot when it is refused: ``"be listed"``.

        Raises
        ------
        CloudError
            S3 refused, or could not be reached.
        """
        import boto3.exceptions
        import botocore.exceptions

        try:
            return getattr(self.client, operation)(Bucket=self.bucket, **parameters)
        except (
            botocore.exceptions.ClientError,
            botocore.exceptions.BotoCoreError,
            boto3.exceptions.Boto3Error,
        ) as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
            if self._where_missing and code in ("404", "NoSuchBucket"):
                raise CloudError(
                    f"There is no bucket '{self.bucket}'.", self._where_missing, code=code
                ) from error
            raise CloudError(
                f"The bucket '{self.bucket}' cannot {doing}: {error}", self._hint
            ) from error

    def pages(self, prefix: str) -> Iterator[list[dict[str, Any]]]:
        """Yield what S3 says of the objects whose keys begin with `prefix`, page by page."""
        more: dict[str, Any] = {}
        while True:
            page = self.call("be listed", "list_objects_v2", Prefix=prefix, **more)
            yield page.get("Contents", [])
            if not (token := page.get("NextContinuationToken")):
                return
            more = {"ContinuationToken": token}

    def address(self, operation: str, key: str, **parameters: Any) -> str:
        """Return an address by which anyone can do this with an object for some hours."""
        given = {"Bucket": self.bucket, "Key": key, **parameters}
        url: str = self.client.generate_presigned_url(operation, Params=given, ExpiresIn=_VALID)
        return url
