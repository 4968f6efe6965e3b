"""A client's store is known to who has the client, as long as there is one."""

from __future__ import annotations

import gc
import weakref
from typing import Any
from unittest.mock import Mock

from spotcluster import depots


class Client:
    pass


def test_store_is_the_clients_own() -> None:
    one, other = Client(), Client()
    store: Any = Mock()
    depots.use(one, store)
    assert depots.of(one) is store
    assert depots.of(other) is None
    depots.use(one, None)
    assert depots.of(one) is None


def test_store_goes_with_the_client() -> None:
    client, store = Client(), Mock()
    gone = weakref.ref(store)
    depots.use(client, store)
    del client, store
    gc.collect()
    assert gone() is None
