"""From a run file in git to a run: everything it names is found, checked and digested, and the digests are the run's id.

Nothing is written before all of it is right. The same run file, files, data, base, data policy, code, preset and seed give the
same run id, whoever asks and whichever commit they come from.
"""

import hashlib
import json
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from steps import config_repo, conversion, findings, modeldir, store, training_config
from steps.codeversion import code_digest
from steps.config_repo import Checkout
from steps.contracts import PlanIn, PlanOut, Preset, YesNo
from steps.faults import BadData, BadInput, NotAllowed
from steps.runfile import Commit, Plan, RunFile, parse_runfile
from steps.runtime import main, say, scratch, setting

_SUFFIXES = (".jsonl", ".json", ".txt")
_UID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")


@dataclass(frozen=True)
class Resolved:
    """A run file and the content of the files it names."""

    runfile: RunFile
    training: dict[str, Any]
    gate: dict[str, Any]
    data_card: dict[str, Any]
    model_card: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        parts = {name: getattr(self, name) for name in ("training", "gate", "data_card", "model_card")}
        return {"runfile": self.runfile.model_dump(mode="json", by_alias=True), **parts}


def plan(given: PlanIn) -> PlanOut:
    """Raises BadInput for anything that is missing or wrong, NotAllowed for another tenant's run file or a prohibited use."""
    _check_uid(given.uid)
    root = setting("FLEECE_STORE").rstrip("/")
    files = config_repo.checkout(given.config_repo or setting("FLEECE_CONFIG_REPO"), given.config_ref, scratch())
    resolved = resolve(files, given.config)
    check(resolved, given.tenant)
    _, policy = findings.read_policy()
    source = _source(resolved.runfile, files, root)
    planned = _planned(resolved, source, root, policy, _commit(files, given.config, resolved), given.preset)
    champion = _champion(planned.runfile.model)

    run = store.join(root, "runs", planned.run_id)
    if not store.exists(planned.data):
        store.backend(planned.data).upload(source, planned.data)
    store.create_json(store.join(run, "plan.json"), planned.model_dump(mode="json", by_alias=True))
    _submit(run, given, planned.commit)
    go, reason = _decide(run, given)
    if replaced := training_config.replaced(planned.training):
        say("plan", f"{planned.runfile.training.config}: the pipeline sets {', '.join(replaced)} itself")
    return PlanOut(
        run=run, run_id=planned.run_id, model_id=planned.runfile.model, base=planned.base, champion=champion, go=go, reason=reason
    )


def resolve(files: Checkout, path: str) -> Resolved:
    """Read the run file and every file it names. Raises BadInput naming the file, and the key that names it."""
    runfile = parse_runfile(config_repo.read_yaml(files, path, "config"), path)
    named = {
        "training": ("training.config", runfile.training.config),
        "gate": ("gate", runfile.gate),
        "data_card": ("dataset.card", runfile.dataset.card),
        "model_card": ("card", runfile.card),
    }
    read = {name: config_repo.read_yaml(files, place, f"{path}: {key}") for name, (key, place) in named.items()}
    conversion.layout(runfile.dataset.format, runfile.dataset.columns)
    training_config.check(read["training"], runfile.training.config, runfile)
    return Resolved(runfile, **read)


def check(resolved: Resolved, tenant: str) -> None:
    """Raises NotAllowed when the run file is another tenant's, or its use is prohibited."""
    runfile = resolved.runfile
    if runfile.tenant != tenant:
        raise NotAllowed(f"the run file is of tenant {runfile.tenant!r}, this is {tenant!r}; submit it in the namespace of its tenant")
    if not runfile.model.startswith(f"{tenant}."):
        raise NotAllowed(f"model {runfile.model!r} is not of tenant {tenant!r}; call it {tenant}.<use>.v<major>")
    if runfile.risk.risk_class == "PROHIBITED":
        raise NotAllowed("risk.class is PROHIBITED (EU AI Act, article 5); no run is made for such a use")


def identify(resolved: Resolved, **digests: str) -> str:
    """The run id: 16 hexadecimal digits of the sha256 of all that decides a run's outcome."""
    text = json.dumps({**resolved.as_json(), **digests}, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _planned(resolved: Resolved, source: Path, root: str, policy: bytes, commit: Commit, preset: Preset) -> Plan:
    base, base_digest = _base(resolved.runfile, root)
    data_digest, code = _digest_of(source), code_digest()
    # A copy of the source lies under its own digest, so that a later change of the original changes no run.
    data = store.join(root, "sources", data_digest.removeprefix("sha256:")[:16], f"data{source.suffix}")
    run_id = identify(resolved, data=data_digest, base=base_digest, code=code, policy=hashlib.sha256(policy).hexdigest(), preset=preset)
    parts = {name: getattr(resolved, name) for name in ("runfile", "training", "gate", "data_card", "model_card")}
    digests = {"data_digest": data_digest, "base_digest": base_digest, "code": code}
    return Plan(run_id=run_id, commit=commit, data=data, base=base, preset=preset, **digests, **parts)


def _check_uid(uid: str) -> None:
    if not _UID.match(uid):
        raise BadInput(f"uid {uid[:80]!r} is no name of an object; it has letters, digits and . _ - only")


def _commit(files: Checkout, path: str, resolved: Resolved) -> Commit:
    digest = hashlib.sha256(store.to_json(resolved.as_json())).hexdigest()
    return Commit(repo=files.repo, commit=files.commit, dirty=files.dirty, path=path, sha256=f"sha256:{digest}")


def _whole_uri(source: str, root: str) -> str:
    """`store://x` is x in this tenant's store; other URIs are themselves, paths of the repository are none."""
    if ".." in source.split("://", 1)[-1].split("/"):
        raise BadInput(f"{source!r} has a '..' segment; give the place itself")
    return f"{root}/{source.removeprefix('store://')}" if source.startswith("store://") else source


def _base(runfile: RunFile, root: str) -> tuple[str, str]:
    """The base model's committed folder and its model digest."""
    uri = _whole_uri(runfile.base.source, root)
    if "://" not in uri:
        raise BadInput(f"base.source is {uri!r}; a base model lies in a store: store://bases/<name>, gs://… or file:///…")
    if not store.committed(uri):
        raise BadInput(f"base.source: {uri} is no committed model folder (no {store.MANIFEST}); upload it, or run python -m demo")
    about = store.read_manifest(uri).about
    return uri, str(about["digest"]) if "digest" in about else modeldir.digest(store.fetch(uri, scratch()))


def _source(runfile: RunFile, files: Checkout, root: str) -> Path:
    """The source data as a local file."""
    named = runfile.dataset.source
    uri = _whole_uri(named, root)
    suffix = Path(uri).suffix
    if suffix not in _SUFFIXES:
        raise BadInput(f"dataset.source is {named!r}; the data is a file named *.jsonl, *.json or *.txt")
    if "://" not in uri:
        source = config_repo.local(files, uri, "dataset.source")
    elif uri.startswith("file://"):
        source = store.local_path(uri)
    else:
        source = scratch() / f"data{suffix}"
        _download(uri, source)
    if not source.is_file():
        raise BadInput(f"dataset.source: there is no file {uri}; upload it there, or correct the run file")
    if source.stat().st_size == 0:
        raise BadData(f"dataset.source: {named} is empty; it needs a row a line")
    return source


def _download(uri: str, target: Path) -> None:
    try:
        store.backend(uri).download(uri, target)
    except store.Missing:
        raise BadInput(f"dataset.source: there is no object {uri}; upload it there, or correct the run file") from None


def _digest_of(source: Path) -> str:
    with source.open("rb") as handle:
        return f"sha256:{hashlib.file_digest(handle, 'sha256').hexdigest()}"


def _submit(run: str, given: PlanIn, commit: Commit) -> None:
    """Record who asked for the run, and when. One record a Workflow; by hand, one a call."""
    uid = given.uid if given.uid != "by-hand" else f"by-hand-{uuid.uuid4().hex[:12]}"
    record = {
        "uid": uid, "workflow": given.workflow, "labels": given.labels, "promote": given.promote, "unchanged": given.unchanged,
        "commit": commit.model_dump(mode="json"), "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    store.create_json(store.join(run, "submissions", f"{uid}.json"), record)


def _decide(run: str, given: PlanIn) -> tuple[YesNo, str]:
    """Whether to go on, and why."""
    gates = store.join(run, "gate")
    gated = any(name.endswith("/result.json") for name in store.backend(gates).names(gates))
    if not gated:
        return "yes", "data, config, base and code are new together, or their run has not reached the gate yet"
    if given.unchanged == "stop":
        return "no", "nothing changed: the same data, config, base and code were run up to the gate before"
    return "yes", "the same data, config, base and code were run before; their results are used again"


def _champion(model_id: str) -> str:
    from steps import registry

    return registry.champion(model_id)


if __name__ == "__main__":
    main("plan", plan)
