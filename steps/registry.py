"""The model registry: MLflow behind a few functions that stay right when two come at once or one is killed in the middle.

Truth is MLflow's alias `production`: one row, one version. Tags (`stage`, `status`) and the alias `previous` follow from it, and
`<store>/registry/<model id>/production.json` announces a move before the alias makes it, so `reconcile` can end a move that was cut off,
and a reader that asks for the champion needs no MLflow. MLflow keeps no user and no history: nothing is proved from it.
"""

import functools
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict

from steps import lease, store
from steps.faults import BadInput, NotAllowed, TryAgain
from steps.mlflow_client import call, client
from steps.runtime import setting

Status = Literal["TRAINED", "VALIDATED", "DEPLOYED", "DEPRECATED", "REJECTED"]
Stage = Literal["None", "Staging", "Production", "Archived"]
# A version whose gate is decided anew, with another champion, goes from one verdict to the other; one that served does not go back.
_MOVES: dict[Status, set[Status]] = {
    "TRAINED": {"VALIDATED", "REJECTED"},
    "VALIDATED": {"DEPLOYED", "REJECTED", "DEPRECATED"},
    "REJECTED": {"VALIDATED", "DEPRECATED"},
    "DEPLOYED": {"DEPRECATED"},
    "DEPRECATED": set(),
}


class Version(BaseModel):
    """A registered version: its number, the model's folder and digest, the run that made it, and all tags."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model_id: str
    number: int
    model: str
    digest: str
    run: str
    status: Status
    stage: Stage
    tags: dict[str, str]


class Pointer(BaseModel):
    """`production.json`: the version in production, and the one that was there before; `moving`: the alias may not be there yet."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model_id: str
    version: int
    model: str
    digest: str
    previous: int
    moving: bool


def champion(model_id: str) -> str:
    """URI of the model in production, or `none`."""
    found = production(model_id)
    return found.model if found else "none"


def production(model_id: str) -> Pointer | None:
    """The version in production. Asks MLflow only when a move was cut off."""
    pointer = _read(model_id)[0]
    return reconcile(model_id) if pointer and pointer.moving else pointer


def register(model_id: str, model: str, digest: str, run: str, status: Status, tags: dict[str, str], mlflow_run: str | None) -> int:
    """The version of this run and digest, made if there is none: the same one for everybody who asks, also at the same time.

    `tags` are the registry's other fields; those of a known version are brought up to date.
    """
    wanted = {**tags, "artifact_digest": digest, "run": run}
    with lease.held(_lock(model_id)):
        known = _of_run(model_id, run, digest)
        if known is None:
            return _create(model_id, model, wanted | {"status": status, "stage": "None"}, mlflow_run)
        if status in _MOVES[known.status]:
            wanted["status"] = status
        _set(known, wanted)
        return known.number


def version(model_id: str, number: int) -> Version:
    """Raises BadInput when there is no such version."""
    found = call(lambda: client().get_model_version(model_id, str(number)), absent=None)
    if found is None:
        raise BadInput(f"the registry has no version {number} of {model_id}; see `fleece models show {model_id}`")
    return _version(found)


def set_status(model_id: str, number: int, status: Status) -> None:
    """Raises NotAllowed when the version's life does not go that way."""
    now = version(model_id, number)
    if status != now.status and status not in _MOVES[now.status]:
        onward = ", ".join(sorted(_MOVES[now.status])) or "nothing"
        raise NotAllowed(f"{model_id}:{number} is {now.status}; from there it may become {onward}, not {status}")
    _set(now, {"status": status})


def promote(model_id: str, number: int, *, beaten: str | None = None) -> Pointer:
    """Make the version the one in production; the one before is archived. One that is there already stays, and nothing is written.

    `beaten`: digest of the champion that it was gated against, `none` without one. Raises NotAllowed when another model is in production
    by now, and for a version that failed its gate or was deprecated; TryAgain when another promotion was faster.
    """
    with lease.held(_lock(model_id)):
        now, seen = _settle(model_id)
        if now and now.version == number:
            return now
        if now and beaten not in (None, now.digest):
            raise NotAllowed(
                f"{model_id}:{now.version} went to production since {model_id}:{number} was gated; they were never compared. Run finetune "
                "again: only the comparison is made anew"
            )
        wanted = version(model_id, number)
        if wanted.status not in ("VALIDATED", "DEPLOYED"):
            raise NotAllowed(f"{model_id}:{number} is {wanted.status}; only a version that passed its gate goes to production")
        move = Pointer(
            model_id=model_id, version=number, model=wanted.model, digest=wanted.digest, previous=now.version if now else 0, moving=True
        )  # fmt: skip
        announced = store.to_json(move.model_dump())
        if not store.backend(_pointer(model_id)).swap(_pointer(model_id), announced, seen):
            raise TryAgain(f"another promotion of {model_id} came first; this one tries again")
        call(lambda: client().set_registered_model_alias(model_id, "production", str(number)))
        return cast(Pointer, _settle(model_id)[0])


def reconcile(model_id: str) -> Pointer | None:
    """Bring tags, alias `previous` and production.json in line with the alias `production`, whatever was cut off where."""
    with lease.held(_lock(model_id)):
        return _settle(model_id)[0]


def _settle(model_id: str) -> tuple[Pointer | None, bytes | None]:
    """What reconcile does, under the lease: the settled pointer and its bytes."""
    pointer, seen = _read(model_id)
    current = _by_alias(model_id, "production")
    if current is None:
        if pointer is None:
            return None, None
        return None, seen  # announced, but never made: the next move replaces it
    previous = pointer.previous if pointer and pointer.version == current.number else _before(model_id, pointer, current)
    if previous and _alias(model_id, "previous") != previous:
        call(lambda: client().set_registered_model_alias(model_id, "previous", str(previous)))
    for other in _staged(model_id, "Production"):
        if other.number != current.number:
            _set(other, {"stage": "Archived"})
    _set(current, {"stage": "Production", "status": "DEPLOYED"})
    settled = Pointer(
        model_id=model_id, version=current.number, model=current.model, digest=current.digest, previous=previous, moving=False
    )  # fmt: skip
    data = store.to_json(settled.model_dump())
    if data != seen and not store.backend(_pointer(model_id)).swap(_pointer(model_id), data, seen):
        raise TryAgain(f"another promotion of {model_id} came first; this one tries again")
    return settled, data


def _before(model_id: str, pointer: Pointer | None, current: Version) -> int:
    """The version before when production.json does not know: the alias was moved by hand, an announced move was not made, or the file
    was lost."""
    if pointer and not pointer.moving:
        return pointer.version
    known = _alias(model_id, "previous")
    return known if known != current.number else 0


def _create(model_id: str, model: str, tags: dict[str, str], mlflow_run: str | None) -> int:
    owner = {name: tags[name] for name in ("tenant", "risk_class") if name in tags}
    call(lambda: client().create_registered_model(model_id, tags=owner), exists=None)
    made = call(lambda: client().create_model_version(model_id, model, run_id=mlflow_run, tags=tags, await_creation_for=0))
    return int(made.version)


def _of_run(model_id: str, run: str, digest: str) -> Version | None:
    """The first version of a run and digest: if ever two were made, everybody means the same one."""
    found = map(_version, call(lambda: client().search_model_versions(f"name = '{model_id}' AND tags.artifact_digest = '{digest}'")))
    return min((one for one in found if one.run == run), key=lambda one: one.number, default=None)


def _staged(model_id: str, stage: Stage) -> list[Version]:
    return [_version(one) for one in call(lambda: client().search_model_versions(f"name = '{model_id}' AND tags.stage = '{stage}'"))]


def _by_alias(model_id: str, alias: str) -> Version | None:
    found = call(lambda: client().get_model_version_by_alias(model_id, alias), absent=None)
    return None if found is None else _version(found)


def _alias(model_id: str, alias: str) -> int:
    """The version's number, 0 when there is no such alias."""
    found = _by_alias(model_id, alias)
    return found.number if found else 0


def _version(found: Any) -> Version:
    """MLflow gives the number as text through a server and as an integer without one. A version of other hands has no tags of ours."""
    tags = dict(found.tags)
    return Version(
        model_id=found.name, number=int(found.version), model=found.source, digest=tags.get("artifact_digest", ""), run=tags.get("run", ""),
        status=tags.get("status", "TRAINED"), stage=tags.get("stage", "None"), tags=tags,
    )  # fmt: skip


def _set(of: Version, tags: dict[str, str]) -> None:
    for key, value in tags.items():
        if of.tags.get(key) != value:
            call(functools.partial(client().set_model_version_tag, of.model_id, str(of.number), key, value))


def _read(model_id: str) -> tuple[Pointer | None, bytes | None]:
    try:
        data = store.read(_pointer(model_id))
    except store.Missing:
        return None, None
    return Pointer.model_validate_json(data), data


def _pointer(model_id: str) -> str:
    return store.join(setting("FLEECE_STORE"), "registry", model_id, "production.json")


def _lock(model_id: str) -> str:
    return store.join(setting("FLEECE_STORE"), "registry", model_id, "lease.json")
