"""Answers that we give ourselves, in the form that each AWS protocol wants."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

_EC2 = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
    "<RequestID>{request}</RequestID></Response>"
)
_QUERY = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>"
    "</Error><RequestId>{request}</RequestId></ErrorResponse>"
)
_S3 = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{request}</RequestId></Error>"
)
JSON_TYPE = "application/x-amz-json-1.1"

WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]


def text(value: str, status: int = 200) -> Response:
    """Return plain text."""
    return Response(value, status=status, content_type="text/plain; charset=utf-8")


def document(value: object, status: int = 200, content_type: str = "application/json") -> Response:
    """Return JSON."""
    return Response(json.dumps(value), status=status, content_type=content_type)


def error(service: str, code: str, message: str, status: int = 400) -> Response:
    """Return an error as `service` words it."""
    if service in ("ssm", "pricing", "servicequotas", "events", "kms", "tagging"):
        return document({"__type": code, "message": message}, status, JSON_TYPE)
    form = _QUERY if service in ("sts", "iam", "autoscaling") else _EC2
    form = _S3 if service == "s3" else form
    body = form.format(code=escape(code), message=escape(message), request=uuid.uuid4())
    return Response(body, status=status, content_type="text/xml; charset=utf-8")
