"""The folder behind a volume: an emptyDir is its node's own, a claim is kept in the home, objects and fields are written out as files."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipelines.local.environment import data_of, pod_field

Volume = dict[str, Any]

KINDS = ("configMap", "downwardAPI", "emptyDir", "ephemeral", "hostPath", "persistentVolumeClaim", "projected", "secret")
"""The kinds of volumes that can be had here."""

_FILE_MODE = 0o644  # https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume/ : defaultMode


def claim(home: Path, namespace: str, name: str) -> Path:
    """The folder of a persistent volume claim: it stays when its run is over."""
    return home / "volumes" / namespace / quote(name, safe="")


def of_templates(spec: dict[str, Any], workflow: str) -> list[Volume]:
    """The volumes that spec.volumeClaimTemplates stand for: a claim `<workflow>-<name>` each."""
    names = [t["metadata"]["name"] for t in spec.get("volumeClaimTemplates") or []]
    return [{"name": name, "persistentVolumeClaim": {"claimName": f"{workflow}-{name}"}} for name in names]


def collect(home: Path, workflow: dict[str, Any], spec: dict[str, Any]) -> None:
    """Delete the claims of a run that is over, as spec.volumeClaimGC says; by default those of one that Succeeded. The others are named in
    the status. argo-workflows v4.1.2 `operator.go`, deletePVCs."""
    made, status = of_templates(spec, workflow["metadata"]["name"]), workflow["status"]
    always = (spec.get("volumeClaimGC") or {}).get("strategy") == "OnWorkflowCompletion"
    if made and (always or status["phase"] == "Succeeded"):
        for volume in made:
            shutil.rmtree(claim(home, workflow["metadata"]["namespace"], volume["persistentVolumeClaim"]["claimName"]), ignore_errors=True)
        status.pop("persistentVolumeClaims", None)
    elif made:
        status["persistentVolumeClaims"] = made


def folder(volume: Volume, node: Path, home: Path, namespace: str, objects: Any, fields: dict[str, str]) -> Path:
    """Where a volume lies, made if need be. `node`: the folder of its node. LookupError when an object or key is missing."""
    if volume.get("hostPath"):
        return Path(volume["hostPath"]["path"])
    name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
    place = claim(home, namespace, name) if name else node / "volumes" / volume["name"]
    place.mkdir(parents=True, exist_ok=True)
    for source, default in _sources(volume):
        for path, data, mode in _files(source, objects, fields):
            target = place / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.write_bytes(data)
            target.chmod(mode or default)
    return place


def _sources(volume: Volume) -> Iterator[tuple[dict[str, Any], int]]:
    """What is written into a volume, and the mode of its files."""
    projected = volume.get("projected") or {}
    yield from ((source, projected.get("defaultMode", _FILE_MODE)) for source in projected.get("sources") or [])
    for kind in ("configMap", "secret", "downwardAPI"):
        if volume.get(kind):
            yield {kind: volume[kind]}, volume[kind].get("defaultMode", _FILE_MODE)


def _files(source: dict[str, Any], objects: Any, fields: dict[str, str]) -> Iterator[tuple[str, bytes, int | None]]:
    for item in (source.get("downwardAPI") or {}).get("items") or []:
        yield item["path"], pod_field(fields, item).encode(), item.get("mode")
    for kind, where in (("ConfigMap", "configMap"), ("Secret", "secret")):
        wanted = source.get(where)
        if wanted is None:
            continue
        name = wanted.get("secretName", wanted.get("name", ""))
        found = objects.get(kind, name)
        if found is None and not wanted.get("optional"):
            raise LookupError(f"{kind} {name!r}, which does not exist")
        data = data_of(found) if found is not None else {}
        for item in wanted.get("items") or [{"key": key, "path": key} for key in data]:
            if item["key"] in data:
                yield item["path"], data[item["key"]], item.get("mode")
            elif not wanted.get("optional"):
                raise LookupError(f"key {item['key']!r} of {kind} {name!r}, which does not exist")
