"""Host names."""

from __future__ import annotations

import pytest

from spotcluster.cluster.bringup import hostnames
from spotcluster.errors import UsageError


def test_host_name_is_the_alias() -> None:
    assert hostnames.of("My_cluster", "node001", dns_prefix=False) == "node001"


def test_with_dns_prefix_the_name_of_the_cluster_comes_first_as_in_starcluster() -> None:
    assert hostnames.of("MyCluster", "node001", dns_prefix=True) == "mycluster-node001"


@pytest.mark.parametrize("cluster", ["my_cluster", "x" * 57])
def test_name_that_dns_would_not_take_is_refused(cluster: str) -> None:
    with pytest.raises(UsageError, match="cannot be a host name"):
        hostnames.of(cluster, "node001", dns_prefix=True)
