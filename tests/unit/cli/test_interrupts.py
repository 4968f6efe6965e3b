"""What is said after an interrupt."""

from __future__ import annotations

import pytest

from spotcluster.aws.session import Credentials, Session
from spotcluster.cli.interrupts import say_what_exists, to_go_on
from spotcluster.cluster.lifecycle import terminate


def test_a_client_that_an_interrupt_has_left_locked_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C within urllib3's pool of connections left its lock taken, and the program hung."""
    session = Session("us-east-1", credentials=Credentials("AKIATEST", "secret"))
    before = session.ec2
    asked: list[Session] = []

    def remains(session: Session, _: str) -> str:
        asked.append(session)
        return "1 node"

    monkeypatch.setattr(terminate, "remains", remains)
    say_what_exists(session, "mycluster")
    assert "EC2 has this of 'mycluster' now: 1 node." in capsys.readouterr().err
    (other,) = asked
    assert other.ec2 is not before
    assert other.client("sts") is not session.client("sts")
    assert session.ec2 is before


def test_ctrl_c_in_what_can_be_repeated_said_nothing_but_interrupted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted() -> None:
        with to_go_on("`spotcluster runplugin x [y]` goes on."):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert capsys.readouterr().err == "`spotcluster runplugin x [y]` goes on.\n"
