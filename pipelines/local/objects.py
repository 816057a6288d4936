"""This machine's API server: Kubernetes objects in files, with kubectl's verbs and words.

Messages are kubectl's as Argo's executor reports them. An applied JobSet starts its gang, a deleted one ends it, and an applied Workflow is
handed to whoever runs workflows here.
"""

import copy
import json
import secrets
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.local import admission, jobset, objectfile
from pipelines.local.objectfile import Object

_PLURALS = {
    "ConfigMap": "configmaps",
    "CronWorkflow": "cronworkflows.argoproj.io",
    "Job": "jobs.batch",
    "JobSet": "jobsets.jobset.x-k8s.io",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "Secret": "secrets",
    "Workflow": "workflows.argoproj.io",
    "WorkflowTemplate": "workflowtemplates.argoproj.io",
}
_VERSIONS = {
    "ConfigMap": "v1",
    "Job": "batch/v1",
    "JobSet": "jobset.x-k8s.io/v1alpha2",
    "PersistentVolumeClaim": "v1",
    "Secret": "v1",
}  # Argo's kinds: argoproj.io/v1alpha1
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # the letters of Kubernetes' random names
_IMMUTABLE_TEXT = 200  # characters shown of a refused list; the real message has kilobytes of it
_MUTABLE = frozenset({"ttlSecondsAfterFinished", "coordinator"})  # of a running JobSet's spec
_WORKFLOW_ENDS = frozenset({"Succeeded", "Failed", "Error"})


class ObjectError(Exception):
    """A request was refused; the message is kubectl's."""


def not_found(kind: str, name: str) -> ObjectError:
    """What `kubectl get` says about an object that is not there."""
    return ObjectError(f'Error from server (NotFound): {_plural(kind)} "{name}" not found')


class Objects:
    """Objects below `home/objects`. `namespace`: where an object without one lies. `start_workflow` is called with every applied Workflow
    that has not ended, again after a crash too, so it must know by the uid what it runs already."""

    def __init__(self, home: Path, namespace: str, start_workflow: Callable[[Object], None] | None = None) -> None:
        self.home, self.namespace, self._start_workflow = home, namespace, start_workflow

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None. A JobSet's gang that was killed from outside is started again by the look at it."""
        file = self.file(kind, name, namespace)
        if kind == "JobSet":
            jobset.tend(file)
        return objectfile.read(file)

    def create(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """A new object; ObjectError when it exists or is refused. `metadata.generateName` is understood."""
        wanted, file = self._prepare(manifest, dry_run, generate=True)
        with objectfile.locked(self.home):
            if file.exists():
                raise ObjectError(
                    'Error from server (AlreadyExists): error when creating "/tmp/manifest.yaml": '
                    f'{_plural(wanted["kind"])} "{wanted["metadata"]["name"]}" already exists'
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

    def patch(self, manifest: Mapping[str, Any]) -> Object:
        """JSON merge patch (RFC 7396) of the object that kind, name and namespace name: null removes; `status` may be patched."""
        wanted = self._named(manifest, version=False)
        file = self._file_of(wanted)
        with objectfile.locked(self.home):
            before = objectfile.read(file)
            if before is None:
                raise not_found(wanted["kind"], wanted["metadata"]["name"])
            made = _updated(before, _merge_patch(before, {**wanted, "apiVersion": before["apiVersion"]}))
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
        if kind == "JobSet":
            (jobset.stop if wait else jobset.delete)(file)
        else:
            file.unlink(missing_ok=True)
        for owned in self._owned_by(found):
            self.delete(owned["kind"], owned["metadata"]["name"], owned["metadata"]["namespace"], wait=wait)
        return found

    def file(self, kind: str, name: str, namespace: str | None = None) -> Path:
        """Where an object lies, for other processes to read."""
        if "/" in name or "/" in (namespace or ""):
            raise ObjectError(f"error: invalid resource name \"{namespace or self.namespace}/{name}\": may not contain '/'")
        _plural(kind)
        return objectfile.path(self.home, namespace or self.namespace, kind, name)

    def _file_of(self, what: Object) -> Path:
        return self.file(what["kind"], what["metadata"]["name"], what["metadata"]["namespace"])

    def _named(self, manifest: Mapping[str, Any], generate: bool = False, version: bool = True) -> Object:
        """The manifest with kind, name and namespace, or ObjectError in the words of `kubectl`'s own checks."""
        missing = [f"{field} not set" for field in ("apiVersion", "kind") if not manifest.get(field) and (version or field == "kind")]
        if missing:
            raise ObjectError(f'error: error validating "/tmp/manifest.yaml": error validating data: [{", ".join(missing)}]')
        wanted: Object = copy.deepcopy(dict(manifest))
        metadata = wanted.setdefault("metadata", {})
        if generate and "name" not in metadata and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(secrets.choice(_SUFFIX) for _ in range(5))
        if not isinstance(metadata.get("name"), str):
            raise ObjectError("error: resource name may not be empty")
        if version:
            _known(wanted)
        metadata.setdefault("namespace", self.namespace)
        return wanted

    def _prepare(self, manifest: Mapping[str, Any], dry_run: bool, generate: bool = False) -> tuple[Object, Path]:
        wanted = self._named(manifest, generate)
        if refusal := admission.refusal(wanted):
            raise ObjectError(refusal)
        if wanted["kind"] == "Job" and not dry_run:
            raise ObjectError(
                f'the Job "{wanted["metadata"]["name"]}" cannot run on this machine: only a dry run, or the Job of a JobSet, can'
            )
        return wanted, self._file_of(wanted)

    def _act(self, made: Object, file: Path) -> Object:
        """What the controllers do about a new or changed object."""
        if made["kind"] == "JobSet":
            jobset.start(file)
        elif made["kind"] == "Workflow" and self._start_workflow and made.get("status", {}).get("phase") not in _WORKFLOW_ENDS:
            self._start_workflow(made)
        return made

    def _owned_by(self, owner: Object) -> list[Object]:
        """The garbage collector's question: whose owner is this?"""
        uid = owner["metadata"]["uid"]
        found = [objectfile.read(file) for file in (self.home / "objects").glob("*/*/*.json")]
        return [each for each in found if each and uid in [o.get("uid") for o in each["metadata"].get("ownerReferences", [])]]

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        folder = self.file(kind, "any", namespace).parent
        found = [objectfile.read(file) for file in sorted(folder.glob("*.json"))]
        return [each for each in found if each is not None]


def _plural(kind: str) -> str:
    if kind not in _PLURALS:
        raise ObjectError(f'error: the server doesn\'t have a resource type "{kind}"')
    return _PLURALS[kind]


def _known(wanted: Object) -> None:
    kind, version = wanted["kind"], wanted["apiVersion"]
    if kind not in _PLURALS or version != _VERSIONS.get(kind, "argoproj.io/v1alpha1"):
        raise ObjectError(
            f'error: resource mapping not found for name: "{wanted["metadata"]["name"]}" namespace: "" from "/tmp/manifest.yaml": '
            f'no matches for kind "{kind}" in version "{version}" ensure CRDs are installed first'
        )


def _new(wanted: Object) -> Object:
    made = copy.deepcopy(wanted)
    made.pop("status", None)
    made["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": objectfile.now(), "resourceVersion": "1"}
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
    after: Object = _merge_patch(before, {key: value for key, value in wanted.items() if key != "status"}, remove=False)
    return after


def _merge_patch(before: Any, change: Any, remove: bool = True) -> Any:
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    after = dict(before) if isinstance(before, dict) else {}
    for key, value in change.items():
        if value is None and remove:
            after.pop(key, None)
        else:
            after[key] = _merge_patch(after.get(key), value, remove)
    return after
