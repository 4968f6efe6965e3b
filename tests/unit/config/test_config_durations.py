"""Durations as users write them."""

from __future__ import annotations

import pytest

from spotcluster.config import durations
from spotcluster.config.template import Template


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60m", 3600),
        ("2h", 7200),
        ("1h30m", 5400),
        (" 1 H 30 Min ", 5400),
        ("1.5h", 5400),
        ("90 min", 5400),
        ("2 hours", 7200),
        ("45s", 45),
        ("1d", 86400),
        ("off", 0),
        ("NO", 0),
        ("0", 0),
    ],
)
def test_duration_is_read(text: str, seconds: int) -> None:
    assert durations.seconds(text) == seconds
    assert durations.seconds(durations.canonical(text)) == seconds


@pytest.mark.parametrize("text", ["", "60", "h", "1h30", "-5m", "2 weeks", "1e3h", "5x", "5m!"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="60m or 2h; or off"):
        durations.seconds(text)


def test_decimal_comma_is_told_how_it_is_written_here() -> None:
    with pytest.raises(ValueError, match=r"write 0\.5h$"):
        durations.seconds("0,5h")


@pytest.mark.parametrize("text", ["5s", "999d", "0m"])
def test_what_can_only_be_a_slip_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="off is for never"):
        durations.seconds(text)


def test_equal_durations_are_equal_settings() -> None:
    one, other = (
        Template(name="t", keyname="k", node_instance_type="c5.large", autostop=text)
        for text in ("60m", "1 hour")
    )
    assert one == other
    assert one.idle_limit == 3600


def test_cluster_of_a_former_version_has_no_autostop() -> None:
    given = '{"name":"t","keyname":"k","node_instance_type":"c5.large"}'
    assert Template.model_validate_json(given).idle_limit == 0


def test_target_is_a_time_of_15_minutes_unless_it_is_said() -> None:
    def made(**own: str) -> Template:
        return Template.model_validate(
            {"name": "t", "keyname": "k", "node_instance_type": "c5.large", **own}
        )

    assert made().target_seconds == 900
    assert made(target="2 h").target_seconds == 7200
    with pytest.raises(ValueError, match="is no time in which anything could be done"):
        made(target="off")
