"""The audit log grows only at its end, and what was done to it shows."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from steps import audit, identity, store


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FLEECE_STORE", f"file://{tmp_path}")
    monkeypatch.setenv("FLEECE_TENANT", "team-x")
    return f"file://{tmp_path}"


def add(count: int) -> None:
    for number in range(count):
        audit.append(audit.event("test.done", f"thing {number}", None, {"number": number}))


def at(root: str, number: int) -> Path:
    return store.local_path(f"{root}/audit/{number:010}.json")


def test_events_are_cloudevents_of_the_tenant_with_an_actor(root: str) -> None:
    audit.append(audit.event("approval.granted", "file:///r", identity.Person(sub="bob", how="sso"), {"digest": "sha256:0"}))
    event = store.read_json(f"{root}/audit/0000000001.json")
    assert {"specversion", "id", "source", "type", "time", "subject"} <= event.keys()
    assert (event["source"], event["type"]) == ("/fleece/team-x", "dev.fleece.approval.granted.v1")
    assert event["data"]["actor"] == {"sub": "bob", "email": "", "how": "sso"}


def test_a_step_is_recorded_with_the_person_behind_its_labels(root: str) -> None:
    labels = json.dumps({"workflows.argoproj.io/creator": "alice"})
    audit.append(audit.of_step("plan", {"labels": labels, "config": "run.yaml"}, {"result": "file:///x/result.json"}))
    event = store.read_json(f"{root}/audit/0000000001.json")
    assert (event["data"]["actor"]["sub"], event["subject"]) == ("alice", "file:///x/result.json")


def test_a_whole_chain_has_no_fault(root: str) -> None:
    assert audit.verify(root) == []
    add(20)
    assert audit.verify(root) == []
    assert audit.head(root).sequence == 20


def test_events_written_at_once_each_get_a_place(root: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: add(5), range(8)))
    assert audit.verify(root) == []
    assert audit.head(root).sequence == 40


@pytest.mark.parametrize("hint", [None, {"sequence": 3, "sha256": "?"}, {"sequence": 99, "sha256": "?"}], ids=["none", "old", "too high"])
def test_the_next_number_is_found_whatever_the_hint_says(root: str, hint: dict[str, object] | None) -> None:
    add(13)
    store.local_path(f"{root}/audit-head.json").unlink()
    if hint:
        store.create_json(f"{root}/audit-head.json", hint)
    add(1)
    assert audit.head(root).sequence == 14
    assert audit.verify(root) == []


def test_a_writer_killed_before_its_hint_leaves_a_whole_chain(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    add(2)
    with monkeypatch.context() as patch:
        patch.setattr(store.LocalStore, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            add(1)
    add(1)
    assert audit.verify(root) == []
    assert audit.head(root).sequence == 4


def edit(root: str) -> None:
    at(root, 4).write_text(at(root, 4).read_text().replace("thing 3", "thing X"))


def reseal(root: str) -> None:
    """An edit of the last event, which nothing follows."""
    at(root, 9).write_text(at(root, 9).read_text().replace("thing 8", "thing X"))


def swap(root: str) -> None:
    one, other = at(root, 4).read_bytes(), at(root, 5).read_bytes()
    at(root, 4).write_bytes(other)
    at(root, 5).write_bytes(one)


def renumber(root: str) -> None:
    at(root, 4).unlink()
    for number in range(5, 10):
        at(root, number).rename(at(root, number - 1))


def cut(root: str) -> None:
    at(root, 8).unlink()
    at(root, 9).unlink()


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (edit, "event 5 does not follow from event 4"),
        (reseal, "event 9 is not the one that was there"),
        (swap, "event 4 does not follow"),
        (lambda root: at(root, 4).unlink(), "event 4 is missing"),
        (renumber, "event 4 does not follow"),
        (cut, "ends before event 9"),
        (lambda root: at(root, 4).write_text("[]"), "event 4 is no event"),
        (lambda root: at(root, 4).write_text("no json"), "event 4 is no event"),
        (lambda root: (at(root, 4).parent / "00.json").write_text("{}"), "event 1 is missing"),
    ],
)
def test_what_was_done_to_the_chain_shows(root: str, tamper: Callable[[str], object], found: str) -> None:
    add(9)
    tamper(root)
    assert any(found in problem for problem in audit.verify(root)), audit.verify(root)


def test_a_chain_written_anew_does_not_fit_the_anchor_of_an_attestation(root: str) -> None:
    add(5)
    anchor = audit.head(root)
    for path in at(root, 1).parent.iterdir():
        path.unlink()
    store.local_path(f"{root}/audit-head.json").unlink()
    add(7)
    assert audit.verify(root) == []
    assert audit.verify(root, [anchor]) == ["event 5 is not the one that was there: the chain was written anew"]
