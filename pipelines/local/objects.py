"""This machine's API server: Kubernetes objects in files, with kubectl's verbs and words.

Messages are kubectl's as Argo's executor reports them. An applied JobSet starts its gang, a deleted one ends it, and an applied Workflow is
handed to whoever runs workflows here.
"""

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.local import admission, identity, objectfile, patches
from pipelines.local.kinds import CUSTOM, KINDS, NEED_A_CLUSTER
from pipelines.local.objectfile import Object

_IGNORE = "if you choose to ignore these errors, turn validation off with --validate=false"
_IMMUTABLE_TEXT = 200  # characters shown of a refused list; the real message has kilobytes of it
_MUTABLE = frozenset({"ttlSecondsAfterFinished", "coordinator"})  # of a running JobSet's spec
_PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    "json": patches.by_operations,
    "merge": patches.merge,
    "strategic": patches.strategic,
}
_WORKFLOW_ENDS = frozenset({"Succeeded", "Failed", "Error"})


class ObjectError(Exception):
    """A request was refused; the message is kubectl's."""


def not_found(kind: str, name: str) -> ObjectError:
    """What `kubectl get` says about an object that is not there."""
    return ObjectError(f'Error from server (NotFound): {_resource(kind)} "{name}" not found')


class Objects:
    """Objects below `home/objects`. `namespace`: where an object without one lies. `start_workflow` is called with every applied Workflow
    that has not ended, again after a crash too, so it must know by the uid what it runs already."""

    def __init__(self, home: Path, namespace: str, start_workflow: Callable[[Object], None] | None = None) -> None:
        self.home, self.namespace, self._start_workflow = home, namespace, start_workflow

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None. A gang that was killed from outside is started again by the look at it."""
        file = self.file(kind, name, namespace)
        found = objectfile.read(file)
        if found is not None and _runs(found):
            from pipelines.local import jobset  # loaded for those who run gangs

            jobset.tend(file)
        return objectfile.read(file)

    def create(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """A new object; ObjectError when it exists or is refused. `metadata.generateName` is understood."""
        wanted, file = self._prepare(manifest, dry_run, generate=True)
        with objectfile.locked(self.home):
            if file.exists():
                raise ObjectError(
                    'Error from server (AlreadyExists): error when creating "/tmp/manifest.yaml": '
                    f'{_resource(wanted["kind"])} "{wanted["metadata"]["name"]}" already exists'
                )
            made = _new(wanted)
            if not dry_run:
                objectfile.write(file, made)
        return made if dry_run else self._act(made, file)

    def apply(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Server-side apply with forced conflicts: create, or merge into what is there. The same manifest again changes nothing."""
        wanted, file = self._prepare(manifest, dry_run)
        with objectfile.locked(self.home):
            before = objectfile.read(file)
            made = _new(wanted) if before is None else _updated(before, _merged(before, wanted), wanted)
            if not dry_run and made != before:
                objectfile.write(file, made)
        return made if dry_run else self._act(made, file)

    def replace(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """The manifest in place of an object that exists; its status stays."""
        wanted, file = self._prepare(manifest, dry_run)
        with objectfile.locked(self.home):
            before = objectfile.read(file)
            if before is None:
                missing = f'{_resource(wanted["kind"])} "{wanted["metadata"]["name"]}" not found'
                raise ObjectError(f'Error from server (NotFound): error when replacing "/tmp/manifest.yaml": {missing}')
            status = {"status": before["status"]} if "status" in before else {}
            made = _updated(before, copy.deepcopy(wanted) | status, wanted)
            if not dry_run and made != before:
                objectfile.write(file, made)
        return made if dry_run else self._act(made, file)

    def patch(self, manifest: Mapping[str, Any], strategy: str = "merge", change: Any = None) -> Object:
        """Patch the object that the manifest's kind, name and namespace name; `change`: the patch, where the manifest is not itself one.
        `strategy`: merge, strategic or json. `status` may be patched."""
        wanted = self._named(manifest, version=False)
        file = self._file_of(wanted)
        with objectfile.locked(self.home):
            before = objectfile.read(file)
            if before is None:
                raise not_found(wanted["kind"], wanted["metadata"]["name"])
            made = _updated(before, _patched(before, wanted if change is None else change, strategy))
            if made != before:
                objectfile.write(file, made)
        return made

    def delete(self, kind: str, name: str, namespace: str | None = None, *, wait: bool = True) -> Object | None:
        """Delete an object and those it owns; what it was, or None when it is not there (Argo always ignores that). A JobSet's ranks get
        SIGTERM and their grace; `wait`: until they are gone."""
        file = self.file(kind, name, namespace)
        found = objectfile.read(file)
        if found is None:
            return None
        if _runs(found):
            from pipelines.local import jobset

            (jobset.stop if wait else jobset.delete)(file)
        else:
            file.unlink(missing_ok=True)
        for owned in self.owned_by(found["metadata"]["uid"]):
            self.delete(owned["kind"], owned["metadata"]["name"], owned["metadata"]["namespace"], wait=wait)
        return found

    def file(self, kind: str, name: str, namespace: str | None = None) -> Path:
        """Where an object lies, for other processes to read."""
        if "/" in name or "/" in (namespace or ""):
            raise ObjectError(f"error: invalid resource name \"{namespace or self.namespace}/{name}\": may not contain '/'")
        _resource(kind)
        return objectfile.path(self.home, namespace or self.namespace, kind, name)

    def _file_of(self, what: Object) -> Path:
        return self.file(what["kind"], what["metadata"]["name"], what["metadata"]["namespace"])

    def _named(self, manifest: Mapping[str, Any], generate: bool = False, version: bool = True) -> Object:
        """The manifest with kind, name and namespace, or ObjectError in the words of `kubectl`'s own checks."""
        missing = [f"{field} not set" for field in ("apiVersion", "kind") if not manifest.get(field) and (version or field == "kind")]
        if missing:
            said = missing[0] if len(missing) == 1 else f"[{', '.join(missing)}]"
            raise ObjectError(f'error: error validating "/tmp/manifest.yaml": error validating data: {said}; {_IGNORE}')
        wanted: Object = copy.deepcopy(dict(manifest))
        metadata = wanted.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise ObjectError('error: unable to decode "/tmp/manifest.yaml": json: cannot unmarshal into Go struct field .metadata')
        wanted["metadata"] = metadata
        if "name" not in metadata and metadata.get("generateName"):
            if not generate:
                raise ObjectError(f"error: from {metadata['generateName']}: cannot use generate name with apply")
            metadata["name"] = metadata["generateName"] + identity.suffix()
        if not isinstance(metadata.get("name"), str):
            raise ObjectError("error: resource name may not be empty")
        if version:
            _known(wanted)
        metadata.setdefault("namespace", self.namespace)
        return wanted

    def _prepare(self, manifest: Mapping[str, Any], dry_run: bool, generate: bool = False) -> tuple[Object, Path]:
        wanted = self._named(manifest, generate)
        try:
            refusal = admission.refusal(wanted)
        except (AttributeError, KeyError, TypeError):  # a field of another type than the API's, deep in a manifest
            refusal = f'error: error validating "/tmp/manifest.yaml": a field has a type that {wanted["kind"]} does not have; {_IGNORE}'
        if refusal:
            raise ObjectError(refusal)
        return wanted, self._file_of(wanted)

    def _act(self, made: Object, file: Path) -> Object:
        """What the controllers do about a new or changed object."""
        if _runs(made):
            from pipelines.local import jobset

            jobset.start(file)
        elif made["kind"] == "Workflow" and self._start_workflow and made.get("status", {}).get("phase") not in _WORKFLOW_ENDS:
            self._start_workflow(made)
        return made

    def owned_by(self, uid: str) -> list[Object]:
        """The garbage collector's question: whose owner is this?"""
        found = [objectfile.read(file) for file in (self.home / "objects").glob("*/*/*.json")]
        return [each for each in found if each and uid in [o.get("uid") for o in each["metadata"].get("ownerReferences", [])]]

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        folder = self.file(kind, "any", namespace).parent
        found = [objectfile.read(file) for file in sorted(folder.glob("*.json"))]
        return [each for each in found if each is not None]


def _resource(kind: str) -> str:
    if kind not in KINDS:
        raise ObjectError(f'error: the server doesn\'t have a resource type "{kind}"')
    return KINDS[kind].resource


def _known(wanted: Object) -> None:
    kind, version, name = wanted["kind"], wanted["apiVersion"], wanted["metadata"]["name"]
    if NEED_A_CLUSTER.get(kind) == version:
        raise ObjectError(f'the {kind} "{name}" cannot run on this machine; use a Job or a JobSet')
    if kind not in KINDS or version != KINDS[kind].version:
        raise ObjectError(
            f'error: resource mapping not found for name: "{name}" namespace: "{wanted["metadata"].get("namespace", "")}" from '
            f'"/tmp/manifest.yaml": no matches for kind "{kind}" in version "{version}"\nensure CRDs are installed first'
        )


def _runs(found: Object) -> bool:
    """Are there processes behind an object? A JobSet's Job has none of its own."""
    owners = found["metadata"].get("ownerReferences") or []
    return found["kind"] == "JobSet" or (found["kind"] == "Job" and not any(owner.get("kind") == "JobSet" for owner in owners))


def _new(wanted: Object) -> Object:
    made = copy.deepcopy(wanted)
    made.pop("status", None)
    made["metadata"] |= {"uid": identity.uid(), "creationTimestamp": objectfile.now(), "resourceVersion": "1"}
    return made


def _updated(before: Object, after: Object, wanted: Object | None = None) -> Object:
    """`after` in place of `before`, or ObjectError for what must not change; `wanted`: the manifest, when it is the whole object."""
    for field in ("uid", "creationTimestamp", "namespace", "resourceVersion"):
        after["metadata"][field] = before["metadata"][field]
    if before["kind"] == "JobSet":
        _immutable(before, (wanted or after).get("spec", {}))
    if after != before:
        objectfile.bump(after)
    return after


def _immutable(before: Object, spec: Mapping[str, Any]) -> None:
    """A JobSet's spec is fixed once it runs: https://jobset.sigs.k8s.io/docs/ and jobset-on-cluster fact 34."""
    old = before["spec"]
    for field in sorted({*old, *spec} - _MUTABLE):
        if old.get(field) == spec.get(field):
            continue
        text = json.dumps(spec.get(field))[:_IMMUTABLE_TEXT] if field == "replicatedJobs" else '"object"'
        what = "field is immutable" if field in ("replicatedJobs", "managedBy") else "Value is immutable"
        raise ObjectError(f'The JobSet "{before["metadata"]["name"]}" is invalid: spec.{field}: Invalid value: {text}: {what}')


def _merged(before: Object, wanted: Object) -> Object:
    """Maps are merged, everything else is replaced; status stays."""
    after: Object = patches.merge(before, {key: value for key, value in wanted.items() if key != "status"}, remove=False)
    return after


def _patched(before: Object, change: Any, strategy: str) -> Object:
    if strategy == "strategic" and before["kind"] in CUSTOM:
        types = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml, application/apply-patch+cbor"
        raise ObjectError(
            "Error from server (UnsupportedMediaType): the body of the request was in an unknown format - accepted media types include: "
            + types
        )
    try:
        after: Object = _PATCHES[strategy](before, change)
    except patches.PatchError as error:
        raise ObjectError(str(error)) from None
    named = {**(after.get("metadata") or {}), "name": before["metadata"]["name"]}
    return after | {"apiVersion": before["apiVersion"], "kind": before["kind"], "metadata": named}
