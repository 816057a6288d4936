"""`python -m demo`: put the demonstration's data and base model into the store, unless they are there."""

import json
import sys
import tempfile
from pathlib import Path

from demo import tickets
from steps import modeldir, store
from steps.runtime import setting


def main() -> None:
    """Create `uploads/tickets.jsonl` and `bases/demo-llama/` below FLEECE_STORE and say where they are."""
    root = setting("FLEECE_STORE").rstrip("/")
    for line in (put_tickets(root), put_base(root)):
        sys.stdout.write(line + "\n")


def put_tickets(root: str) -> str:
    rows = tickets.rows()
    uri = store.join(root, "uploads", "tickets.jsonl")
    made = store.backend(uri).create(uri, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    return f"{len(rows)} support tickets {'written to' if made else 'are in'} {uri}"


def put_base(root: str) -> str:
    uri = store.join(root, "bases", "demo-llama")
    if store.committed(uri):
        return f"the base model is in {uri}"
    from demo import base

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "demo-llama"
        base.make(folder)
        store.commit(folder, uri, {"digest": modeldir.digest(folder), "made": "by code, from demo/base.py"})
    return f"a base model was pre-trained and written to {uri}"


if __name__ == "__main__":
    main()
