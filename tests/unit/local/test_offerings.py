"""What regions offer, read when it is asked for: the same that moto reads at its import."""

from __future__ import annotations

import pytest
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

from spotcluster.local.moto_private import Offerings


@pytest.mark.parametrize("kind", INSTANCE_TYPE_OFFERINGS)
def test_a_region_offers_what_moto_says(kind: str) -> None:
    motos = INSTANCE_TYPE_OFFERINGS[kind]
    ours = Offerings(kind, motos)
    assert list(ours) == list(motos)
    for region in ("us-east-1", "eu-central-1"):
        assert ours[region] == ours.get(region, []) == motos[region]
        assert ours[region] is ours[region]
    assert ours.get("mars-north-1", []) == []
