"""Which quota counts which type."""

from __future__ import annotations

import pytest

from spotcluster.aws.launching import quotas


@pytest.mark.parametrize(
    ("name", "spot", "code"),
    [
        *((name, True, "L-34B43A08") for name in ("c5.large", "m7gd.xlarge", "im4gn.large")),
        *((name, True, "L-34B43A08") for name in ("z1d.large", "d3en.xlarge", "t3a.nano")),
        ("is4gen.large", False, "L-1216C47A"),
        ("hpc7a.96xlarge", False, None),
        ("h1.2xlarge", False, "L-1216C47A"),
        ("g4dn.xlarge", True, "L-3819A6DF"),
        ("vt1.3xlarge", False, "L-DB2E81BA"),
        ("p3.2xlarge", False, "L-417A185B"),
        ("p5.48xlarge", True, None),  # P5 has a quota of its own on the spot market
        ("inf2.xlarge", True, "L-B5D1601B"),
        ("i4i.large", True, "L-34B43A08"),
        ("dl1.24xlarge", True, "L-85EED4F7"),
        ("trn1.2xlarge", False, "L-2C3B7624"),
        ("x2gd.large", True, "L-E3A00192"),
        ("f1.2xlarge", False, "L-74FC7D96"),
        ("u-6tb1.metal", False, None),
        ("mac1.metal", False, None),
        ("q9.large", True, None),
    ],
)
def test_type_is_counted_by_the_quota_of_its_family(
    name: str, code: str | None, *, spot: bool
) -> None:
    found = quotas.of(name, spot=spot)
    assert (found and found.code) == code
