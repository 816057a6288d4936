"""From the pod template of a JobSet to the processes of one attempt: names, environment, and where its paths and addresses lie here.

A pod has its own file system and address; a process has not. Mounted volumes become folders below the gang's, which a rank in a namespace
of its own (isolation.py) sees where the pod would; pod DNS names become 127.0.0.1, and each declared containerPort becomes a free port,
the same one for all ranks of an attempt. Without a namespace mounted paths are rewritten. Values from ConfigMaps and Secrets are this
machine's own and stay as they are, and so does a path below a mount that exists on this machine.
"""

import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.local import identity, isolation
from pipelines.local.environment import base, data_of, expand
from pipelines.local.isolation import SCRATCH, Layout

Spec = Mapping[str, Any]
Lookup = Callable[[str, str], Spec | None]  # kind, name -> the object of this namespace

RESTART_ATTEMPT = "jobset.sigs.k8s.io/restart-attempt"
JOBSET_NAME = "jobset.sigs.k8s.io/jobset-name"
VOLUMES = ("emptyDir", "persistentVolumeClaim", "configMap", "secret")
FIELDS = re.compile(
    r"metadata\.(name|namespace|uid)|metadata\.(labels|annotations)\['([^']+)'\]|spec\.(nodeName|serviceAccountName)|status\.(podIP|hostIP)"
)
FOR_GANGS = "visible.json"
"""The file in the home folder by which the controllers of gangs, other processes, know what their ranks may see: a list, or null."""
_HERE = "127.0.0.1"
_LIBRARY_PATHS = ("/dev/shm",)  # noqa: S108 - libraries use it by its fixed name, so it stays where it is


class NotStartable(Exception):
    """A pod of this gang can never start; the message says what is missing."""


@dataclass(frozen=True)
class Rank:
    """One process of the gang, ready to be started."""

    index: int
    pod: str
    argv: list[str]
    env: dict[str, str]
    cwd: Path
    folders: tuple[Path, ...]  # that must exist: mounted volumes, TMPDIR
    root: Layout | None = None  # what it sees as `/`; None: this machine as it is


@dataclass(frozen=True)
class Place:
    """Where a gang lives on this machine. `images`: image, or prefix and `*`, -> {"bin", "env", "warm"}; `warm` comes before `bin`."""

    folder: Path  # of the gang; ranks have a folder each in it
    volumes: Path  # of persistent volume claims, which outlive gangs
    temporary: Path  # short, since socket paths have 107 bytes
    images: Mapping[str, Spec]
    visible: list[str] | None = None  # what isolated ranks still see below their own paths; None: no namespaces

    def image(self, name: str) -> Spec:
        """What stands for an image here: by its full name, its name without tag and digest, or the longest prefix."""
        bare = re.sub(r"(:[^/@]*)?(@.*)?$", "", name)
        known = [key for key in self.images if key in (name, bare) or (key.endswith("*") and bare.startswith(key[:-1]))]
        return self.images[max(known, key=lambda key: (key == name, key == bare, len(key)))] if known else {}


@dataclass(frozen=True)
class Attempt:
    """One start of all ranks; `number` counts restarts from 0."""

    jobset: Spec
    number: int
    ports: Mapping[int, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.jobset["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.jobset["metadata"]["namespace"])

    @property
    def replicated(self) -> str:
        return str(self.jobset["spec"]["replicatedJobs"][0]["name"])

    @property
    def job(self) -> Spec:
        found: Spec = self.jobset["spec"]["replicatedJobs"][0]["template"]
        return found

    @property
    def job_name(self) -> str:
        return f"{self.name}-{self.replicated}-0"

    @property
    def pod(self) -> Spec:
        found: Spec = self.job["spec"]["template"]
        return found

    @property
    def size(self) -> int:
        return int(self.job["spec"].get("completions", 1))

    @property
    def grace(self) -> float:
        """Seconds between SIGTERM and SIGKILL."""
        return float(self.pod["spec"].get("terminationGracePeriodSeconds", 30))


def free_ports(pod: Spec) -> dict[int, int]:
    """A free port of this machine for every containerPort of a pod template."""
    wanted = [port["containerPort"] for c in pod["spec"]["containers"] for port in c.get("ports", [])]
    with ExitStack() as held:  # all are open at the same time, so no two are the same
        sockets = [held.enter_context(socket.socket()) for _ in wanted]
        for each in sockets:
            each.bind((_HERE, 0))
        return {port: each.getsockname()[1] for port, each in zip(wanted, sockets, strict=True)}


@dataclass(frozen=True)
class JobAttempt(Attempt):
    """A Job that nobody made of a JobSet, in the shape of one."""

    @property
    def job_name(self) -> str:
        return self.name


def of_job(job: Spec, number: int) -> JobAttempt:
    """The attempt of a plain Job; `number` counts the pods that failed."""
    return JobAttempt({"metadata": job["metadata"], "spec": {"replicatedJobs": [{"name": "", "template": {"spec": job["spec"]}}]}}, number)


def ranks(attempt: Attempt, place: Place, lookup: Lookup, indexes: Iterable[int] | None = None) -> list[Rank]:
    """Every rank of an attempt, or those of `indexes`; raises NotStartable for a missing ConfigMap, Secret or key."""
    return [_rank(index, attempt, place, lookup) for index in (range(attempt.size) if indexes is None else indexes)]


def _rank(index: int, attempt: Attempt, place: Place, lookup: Lookup) -> Rank:
    container = attempt.pod["spec"]["containers"][0]
    host = f"{attempt.job_name}-{index}"
    pod = f"{host}-{identity.suffix()}"
    given = _given(container, lookup)
    declared = given | {"JOB_COMPLETION_INDEX": str(index), "HOSTNAME": host}
    declared = _declared(container, declared, _fields(attempt, index, pod), lookup)
    temporary = place.temporary / str(index)
    mounts = dict(_mounts(attempt.pod["spec"], container, index, place))
    root, folders = None, [*mounts.values(), temporary]
    if place.visible is not None:
        own, top = _own(container, mounts), place.folder / str(index) / "root"
        read_only = {mount["mountPath"].rstrip("/") for mount in container.get("volumeMounts", []) if mount.get("readOnly")}
        root = isolation.layout(top, own, mounts, read_only, place.visible)
        folders += [isolation.place(top, mounts, path) for path in own]
    here = _Here(attempt, {} if root else mounts)
    image = place.image(container["image"])
    env = base(SCRATCH if root else str(mounts.get(SCRATCH, temporary))) | dict(image.get("env") or {})
    env["PATH"] = ":".join(part for part in (image.get("warm"), image.get("bin"), env.get("PATH")) if part)
    env |= {name: value if given.get(name) == value else here.value(value) for name, value in declared.items()}
    work = container.get("workingDir")
    argv = [here.text(expand(word, declared)) for word in [*container["command"], *container.get("args", [])]]
    cwd = Path(here.text(work)) if work else place.folder / str(index)
    return Rank(index, pod, argv, env, cwd, tuple(folders), root)


def _own(container: Spec, mounts: Mapping[str, Path]) -> set[str]:
    """The folders of a pod that lie on no volume, and are there when it starts."""
    work = container.get("workingDir", SCRATCH)
    return {SCRATCH, *([] if Path(work).is_dir() else [work])} - mounts.keys()


def _given(container: Spec, lookup: Lookup) -> dict[str, str]:
    """The variables of whole ConfigMaps and Secrets."""
    known: dict[str, str] = {}
    for source in container.get("envFrom", []):
        kind = "ConfigMap" if "configMapRef" in source else "Secret"
        reference = source.get("configMapRef") or source.get("secretRef")
        known |= {source.get("prefix", "") + key: value for key, value in _data(kind, reference, lookup).items()}
    return known


def _declared(container: Spec, known: Mapping[str, str], fields: Spec, lookup: Lookup) -> dict[str, str]:
    """The variables that the pod would see; later ones may use earlier ones."""
    declared = dict(known)
    for variable in container.get("env", []):
        if "valueFrom" not in variable:
            declared[variable["name"]] = expand(variable.get("value", ""), declared)
        elif (found := _from(variable["valueFrom"], fields, lookup)) is not None:
            declared[variable["name"]] = found
    return declared


def _from(source: Spec, fields: Spec, lookup: Lookup) -> str | None:
    if "fieldRef" in source:
        return str(fields.get(source["fieldRef"]["fieldPath"], ""))
    kind = "ConfigMap" if "configMapKeyRef" in source else "Secret"
    reference = source.get("configMapKeyRef") or source["secretKeyRef"]
    value = _data(kind, reference, lookup).get(reference["key"])
    if value is None and not reference.get("optional"):
        raise NotStartable(f"couldn't find key {reference['key']} in {kind} {reference['name']}")
    return value


def _data(kind: str, reference: Spec, lookup: Lookup) -> dict[str, str]:
    found = lookup(kind, reference["name"])
    if found is None and not reference.get("optional"):
        raise NotStartable(f'{kind.lower()} "{reference["name"]}" not found')
    return {key: value.decode() for key, value in data_of(dict(found)).items()} if found else {}


def _fields(attempt: Attempt, index: int, pod: str) -> dict[str, str]:
    """The downward API: https://kubernetes.io/docs/concepts/workloads/pods/downward-api/"""
    given = attempt.pod.get("metadata", {})
    own = {
        JOBSET_NAME: attempt.name,
        "jobset.sigs.k8s.io/jobset-uid": attempt.jobset["metadata"]["uid"],
        "jobset.sigs.k8s.io/replicatedjob-name": attempt.replicated,
        "jobset.sigs.k8s.io/job-index": "0",
        RESTART_ATTEMPT: str(attempt.number),
        "batch.kubernetes.io/job-name": attempt.job_name,
        "batch.kubernetes.io/job-completion-index": str(index),
    }
    fields = {
        "metadata.name": pod,
        "metadata.namespace": attempt.namespace,
        "metadata.uid": identity.uid(),
        "spec.nodeName": "localhost",
        "spec.serviceAccountName": attempt.pod["spec"].get("serviceAccountName", "default"),
        "status.podIP": _HERE,
        "status.hostIP": _HERE,
    }
    for kind in ("labels", "annotations"):
        fields |= {f"metadata.{kind}['{key}']": value for key, value in {**given.get(kind, {}), **own}.items()}
    return fields


def _mounts(pod: Spec, container: Spec, index: int, place: Place) -> Iterator[tuple[str, Path]]:
    """Mount path -> folder here. An emptyDir is the rank's own; a claim is shared, as on a cluster. /tmp is where sockets are made."""
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        if mount["mountPath"] in _LIBRARY_PATHS:
            continue
        claim = volumes[mount["name"]].get("persistentVolumeClaim")
        own = place.folder / str(index) / "volumes" / mount["name"]
        if mount["mountPath"] == SCRATCH and "emptyDir" in volumes[mount["name"]]:
            own = place.temporary / str(index)
        folder = place.volumes / claim["claimName"] if claim else own
        yield mount["mountPath"].rstrip("/"), folder / mount.get("subPath", "")


def files(attempt: Attempt, lookup: Lookup) -> Iterator[tuple[str, str, str]]:
    """What ConfigMap and Secret volumes hold: volume, file name, text."""
    for volume in attempt.pod["spec"].get("volumes", []):
        if source := volume.get("configMap"):
            data = _data("ConfigMap", source, lookup)
        elif source := volume.get("secret"):
            data = _data("Secret", {"name": source["secretName"], **source}, lookup)
        else:
            continue
        chosen = {item["key"]: item["path"] for item in source.get("items", [])} or {key: key for key in data}
        for key, name in chosen.items():
            if key not in data:
                raise NotStartable(f"references non-existent config key: {key}")
            yield volume["name"], name, data[key]


class _Here:
    """Rewrites the pod's paths and addresses to this machine's."""

    def __init__(self, attempt: Attempt, mounts: Mapping[str, Path]) -> None:
        subdomain = attempt.jobset["spec"].get("network", {}).get("subdomain", attempt.name)
        self.dns = re.compile(
            rf"(?<![\w.-]){re.escape(attempt.job_name)}-\d+\.{re.escape(subdomain)}"
            rf"(?:\.{re.escape(attempt.namespace)}(?:\.svc(?:\.cluster\.local)?)?)?(?![\w-]|\.\w)(?::(\d+)(?!\d))?"
        )
        # One pass over all mounts, longest first: a relocated path may itself begin with a mount path such as /tmp.
        listed = "|".join(re.escape(path) for path in sorted(mounts, key=len, reverse=True))
        self.path = re.compile(rf"(?:(?<=^)|(?<==))({listed})((?:/.*)?)$") if mounts else None
        self.mounts, self.ports = mounts, attempt.ports

    def text(self, text: str) -> str:
        text = self.dns.sub(self._address, text)
        return self.path.sub(self._place, text) if self.path else text

    def value(self, text: str) -> str:
        """An environment variable, which may also be a port by itself."""
        if text.isdecimal() and int(text) in self.ports:
            return str(self.ports[int(text)])
        return self.text(text)

    def _place(self, found: re.Match[str]) -> str:
        below = found[2].strip("/")
        return found[0] if below and Path(found[0]).exists() else f"{self.mounts[found[1]]}{found[2]}"

    def _address(self, found: re.Match[str]) -> str:
        if found[1] is None:
            return _HERE
        return f"{_HERE}:{self.ports.get(int(found[1]), int(found[1]))}"
