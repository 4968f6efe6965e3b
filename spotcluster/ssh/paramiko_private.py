"""The private name of paramiko that we stand on; no other module uses any."""

from __future__ import annotations

from typing import Any


def send_message(channel: Any, message: Any) -> None:
    """Send a message of a channel's own, which paramiko has no public method for."""
    channel.transport._send_user_message(message)
