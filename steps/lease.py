"""One at a time, on any number of machines: a lease is an object in the store that says who holds it and until when."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from steps import store
from steps.faults import Unavailable

LONGEST_SECONDS = 120.0  # a holder that takes longer is taken for dead; what a lease guards takes seconds
_PATIENCE_SECONDS = 300.0


@contextmanager
def held(uri: str) -> Iterator[None]:
    """Hold the lease while the block runs. Raises Unavailable when another holds it for too long.

    In a local store it is a file lock, which ends with its process; in a bucket the holder's death shows when the lease runs out.
    A holder that sleeps past the end is no longer alone, so what must never happen twice needs a compare-and-set as well.
    """
    if uri.startswith("file://"):
        with store.locked(store.local_path(uri)):
            yield
        return
    mine = _acquire(uri)
    try:
        yield
    finally:
        store.backend(uri).swap(uri, _note("", 0.0), mine)


def _acquire(uri: str) -> bytes:
    backend, me = store.backend(uri), uuid.uuid4().hex
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < give_up:
        seen = backend.read(uri) if backend.exists(uri) else None
        mine = _note(me, time.time() + LONGEST_SECONDS)
        if (seen is None or json.loads(seen)["until"] < time.time()) and backend.swap(uri, mine, seen):
            return mine
        time.sleep(0.2)
    raise Unavailable(f"{uri} has been held by others for {_PATIENCE_SECONDS:.0f} s; see which run holds it")


def _note(holder: str, until: float) -> bytes:
    return store.to_json({"holder": holder, "until": until})
