"""The append-only record of every operation: CloudEvents 1.0, hash-chained, one object each, created and never changed.

An event is `<store>/audit/<number>.json` and holds the SHA-256 of the one before it, so an edit, a removal or a swap breaks the chain
at a known place. A cut at the end breaks nothing; `Head`s kept elsewhere (each release attestation holds one) show it.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple

from steps import identity, store

Event = dict[str, Any]


class Head(NamedTuple):
    """The last event at some time: its number and the digest of its bytes. (0, "") is the empty chain."""

    sequence: int
    sha256: str


def of_step(verb: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> Event:
    """The event of a finished step. Parameters hold URIs, digests and names only, so all of them may be kept."""
    data = {"inputs": inputs, "outputs": outputs, "outcome": "success"}
    return event(f"{verb}.completed", outputs.get("result", "none"), identity.of(inputs.get("labels", "")), data)


def event(kind: str, subject: str, actor: identity.Person | None, data: dict[str, Any]) -> Event:
    """An event of `kind` (`approval.granted`) about `subject` (a URI). `actor` None: no person, the pipeline itself."""
    who = actor.model_dump() if actor else {"sub": "pipeline", "email": "", "how": "workflow"}
    return {"type": f"dev.fleece.{kind}.v1", "subject": subject, "data": {"actor": who, **data}}


def append(event: Event) -> None:
    """Add an event to the tenant's chain. Of several writers each gets its own number."""
    root = os.environ.get("FLEECE_STORE")
    if not root:
        return
    envelope = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": f"/fleece/{os.environ.get('FLEECE_TENANT', 'default')}",
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        **event,
    }
    number = _last(root)
    while not _is_written(root, number + 1, linked := {**envelope, "previous": _digest(root, number), "sequence": number + 1}):
        number += 1
    _hint(root, number + 1, store.to_json(linked))


def head(root: str) -> Head:
    """The newest event of a store's chain."""
    last = _last(root)
    return Head(last, _digest(root, last))


def verify(root: str, anchors: Iterable[Head] = ()) -> list[str]:
    """What is wrong with a store's chain, in order; nothing when it is whole and still holds every anchor.

    Found: an edited, removed, moved or foreign event, and a cut that an anchor or the chain's own note of its end shows.
    """
    with ThreadPoolExecutor(8) as pool:
        names = store.backend(root).names(store.join(root, "audit"))
        events = dict(zip(names, pool.map(lambda name: store.read(store.join(root, "audit", name)), names), strict=True))
    return [*_broken_links(events), *_missing_heads(events, [*anchors, _noted(root)])]


def _broken_links(events: dict[str, bytes]) -> list[str]:
    problems: list[str] = []
    before = b""
    for number, name in enumerate(sorted(events), 1):
        if name != _name(number):
            return [*problems, f"event {number} is missing: {name} is there in its place"]
        try:
            now = json.loads(events[name])
            links = now["sequence"] == number and now["previous"] == hashlib.sha256(before).hexdigest()
        except (ValueError, KeyError, TypeError):
            return [*problems, f"event {number} is no event of the chain"]
        if not links:
            problems.append(f"event {number} does not follow from event {number - 1}: one of them was changed or moved")
        before = events[name]
    return problems


def _missing_heads(events: dict[str, bytes], heads: list[Head]) -> list[str]:
    problems: list[str] = []
    for known in sorted({head for head in heads if head.sequence}):
        there = events.get(_name(known.sequence))
        if there is None:
            problems.append(f"the chain ends before event {known.sequence}, which was there: its end was cut off")
        elif hashlib.sha256(there).hexdigest() != known.sha256:
            problems.append(f"event {known.sequence} is not the one that was there: the chain was written anew")
    return problems


def _is_written(root: str, number: int, linked: Event) -> bool:
    """Create the event's object; also when a repeated request finds it there already, since its first answer was lost."""
    uri = _uri(root, number)
    return store.create_json(uri, linked) or store.read(uri) == store.to_json(linked)


def _last(root: str) -> int:
    """The highest number there is. Numbers have no gaps, so it is found by a few looks from the noted end, not by a listing."""
    low = _noted(root).sequence
    if low and not store.exists(_uri(root, low)):
        low = 0
    step = 1
    while store.exists(_uri(root, low + step)):
        low, step = low + step, step * 2
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if store.exists(_uri(root, middle)) else (low, middle)
    return low


def _digest(root: str, number: int) -> str:
    """The digest of an event's bytes; of nothing at all before the first."""
    return hashlib.sha256(store.read(_uri(root, number)) if number else b"").hexdigest()


def _noted(root: str) -> Head:
    """The end of the chain as its last writer noted it. Only a hint: it may lag behind, and nothing is believed from it alone."""
    try:
        noted = store.read_json(store.join(root, "audit-head.json"))
        return Head(int(noted["sequence"]), str(noted["sha256"]))
    except store.Missing:
        return Head(0, "")


def _hint(root: str, number: int, data: bytes) -> None:
    store.replace_json(store.join(root, "audit-head.json"), Head(number, hashlib.sha256(data).hexdigest())._asdict())


def _uri(root: str, number: int) -> str:
    return store.join(root, "audit", _name(number))


def _name(number: int) -> str:
    return f"{number:010}.json"
