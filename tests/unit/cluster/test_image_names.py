"""What a name of images means; no cloud."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from spotcluster.cluster.lifecycle import bake
from spotcluster.errors import UsageError


@pytest.mark.parametrize("wanted", ["", ":3", ":latest", "*", "*:3", "tool?"])
def test_what_is_no_name_does_not_mean_the_images_of_all_names(wanted: str) -> None:
    nobody = cast("Any", SimpleNamespace(region="us-east-1"))  # who is asked fails the test
    with pytest.raises(UsageError, match="cannot be the name of an image"):
        bake.find(nobody, wanted)
