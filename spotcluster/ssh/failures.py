"""Why a connection could not be made: each reason in one sentence, with its hint."""

from __future__ import annotations

from enum import StrEnum

from spotcluster.errors import ConnectionFailed
from spotcluster.ssh.target import Target


class Reason(StrEnum):
    """What went wrong, so that waiting knows whether it may pass."""

    NO_ADDRESS = "no address"
    NO_ROUTE = "no route"
    NO_JUMP = "no jump"
    REFUSED = "refused"
    TIMED_OUT = "timed out"
    CLOSED_EARLY = "closed early"
    NOT_SSH = "not SSH"
    NO_COMMON_METHOD = "no common method"
    KEY_REFUSED = "key refused"


_SENTENCES = {
    Reason.NO_ADDRESS: "the name {host} has no address",
    Reason.NO_ROUTE: "there is no way to {where}",
    Reason.NO_JUMP: "there is no way through {jump} to {host}",
    Reason.REFUSED: "{where} refused the connection",
    Reason.TIMED_OUT: "{where} did not answer",
    Reason.CLOSED_EARLY: "{where} closed the connection before SSH was set up",
    Reason.NOT_SSH: "what answers at {where} does not speak SSH",
    Reason.NO_COMMON_METHOD: "the SSH server at {where} and we have no method in common",
    Reason.KEY_REFUSED: "{where} does not let {user} in with the key {key_path}",
}
_HINTS = {
    Reason.NO_ADDRESS: "Check the network and name service of this computer.",
    Reason.NO_ROUTE: "Check the network of this computer.",
    Reason.NO_JUMP: "`ssh {jump}` must work without a question; see PROXY_JUMP in the template.",
    Reason.REFUSED: "The machine may still be booting, or its SSH server is not running.",
    Reason.TIMED_OUT: (
        "The machine may be down, or a security group or firewall does not let this computer's"
        " address in."
    ),
    Reason.CLOSED_EARLY: "The machine may still be booting, or be too busy; try again.",
    Reason.NOT_SSH: "Something between here and the machine may answer in its place.",
    Reason.NO_COMMON_METHOD: "The image's SSH server is too old, or too strict; try another image.",
    Reason.KEY_REFUSED: (
        "Check that the user is the image's own (ubuntu, ec2-user, admin...) and that the key is"
        " that of the key pair it was started with."
    ),
}


class CannotConnect(ConnectionFailed):
    """A `ConnectionFailed` that knows its reason."""

    def __init__(self, target: Target, reason: Reason, detail: str = "") -> None:
        sentence = _SENTENCES[reason].format(
            host=target.host,
            where=target.where,
            user=target.user,
            key_path=target.key_path,
            jump=target.proxy_jump,
        )
        hint = _HINTS[reason].replace("{jump}", target.proxy_jump)
        super().__init__(target.alias, sentence + (f" ({detail})" if detail else "") + ".", hint)
        self.reason = reason
