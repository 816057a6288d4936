"""What a pod leaves behind when its process is over: its end, result, output parameters and artifacts.

Messages are those of Argo's executor: https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/executor/executor.go
"""

from pathlib import Path
from typing import Any

from pipelines.local import artifacts, isolation
from pipelines.local.containers import DEADLINE, Machine, Pod
from pipelines.local.keeper import Job

LONGEST_RESULT = 262144  # bytes; https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/common/common.go


def ended(machine: Machine, pod: Pod, pod_name: str, end: Job) -> tuple[str, str, dict[str, Any]]:
    """Phase, message and outputs of a node whose process is over."""
    found: dict[str, Any] = {}
    if pod.paths.isolated:
        isolation.clear(pod.paths.layout())
    if pod.capture:
        found["result"] = result(pod.folder)
    folder = _folder_output(pod)
    if folder and not end["code"]:
        end = _copy_failed(pod, end, folder)
    parameters, problem = _parameters(pod)
    if parameters:
        found["parameters"] = parameters
    kept, missing = _artifacts(machine, pod, pod_name)
    if kept:
        found["artifacts"] = kept
    if pod.stopped in ("", DEADLINE):  # the controller forgets the code of what it stopped itself (argo-control-flow 124, 178)
        found["exitCode"] = str(end["code"])
    if pod.stopped:
        return "Failed", pod.stopped, found
    if end["code"]:
        return "Failed", f"main: Error (exit code {end['code']})" + (f": {end['error']}" if end["error"] else ""), found
    problem = problem or missing
    return ("Error", f"wait: Error (exit code 64): {problem}", found) if problem else ("Succeeded", "", found)


def result(folder: Path) -> str:
    """Standard output: its last 256 KiB, less one newline at the end."""
    path = folder / "result"
    text = path.read_bytes()[-LONGEST_RESULT:].decode("utf-8", "replace") if path.exists() else ""
    return text.removesuffix("\n")


def _folder_output(pod: Pod) -> str:
    """The path of an output parameter behind which lies a folder, which cannot be copied."""
    declared = [(p.get("valueFrom") or {}).get("path") for p in (pod.template.get("outputs") or {}).get("parameters") or []]
    return next((path for path in declared if path and not _on_volume(pod, path) and pod.paths.local(path).is_dir()), "")


def _copy_failed(pod: Pod, end: Job, path: str) -> Job:
    """As Argo's executor puts it (argo-data-flow 254)."""
    target = f"/var/run/argo/outputs/parameters/{path}"
    problem = f"failed to copy {path} to {target}: write {target}: copy_file_range: is a directory"
    with (pod.folder / "main.log").open("a") as log:
        log.write(f"Error: {problem}\n{problem}\n")
    return end | {"code": 64, "error": problem}


def _parameters(pod: Pod) -> tuple[list[dict[str, Any]], str]:
    """The output parameters, and what went wrong with the first that is missing: the executor reads no further ones."""
    found, problem = [], ""
    for declared in (pod.template.get("outputs") or {}).get("parameters") or []:
        source, parameter = declared.get("valueFrom") or {}, dict(declared)
        if "path" in source and not problem:
            path, on_volume = pod.paths.local(source["path"]), _on_volume(pod, source["path"])
            if path.is_file():
                parameter["value"] = path.read_bytes().decode("utf-8", "replace").removesuffix("\n")
            elif path.is_dir() and not on_volume:
                parameter["value"] = ""
            elif "default" in source:
                parameter["value"] = source["default"].removesuffix("\n")
            else:
                place = "/mainctrfs" if on_volume else "/var/run/argo/outputs/parameters"
                what = f"read {place}{source['path']}: is a directory" if path.is_dir() else ""
                problem = what or f"open {place}{source['path']}: no such file or directory"
        found.append(parameter)
    return found, problem


def _on_volume(pod: Pod, path: str) -> bool:
    """Does a path lie on a mounted volume, which the executor sees too? What does not was copied for it."""
    return any(path == mount or path.startswith(mount.rstrip("/") + "/") for mount in pod.paths.mounts)


def _artifacts(machine: Machine, pod: Pod, pod_name: str) -> tuple[list[dict[str, Any]], str]:
    kept, problems = [], ""
    for declared in (pod.template.get("outputs") or {}).get("artifacts") or []:
        artifact, path, on_volume = dict(declared), pod.paths.local(declared["path"]), _on_volume(pod, declared["path"])
        if not artifacts.key(artifact):
            artifact["gcs"] = {"key": artifacts.default_key(machine.workflow, pod_name, declared)}
        try:
            if not path.exists():
                raise artifacts.MissingArtifact(artifacts.not_there(declared, on_volume))
            artifacts.save(machine.home, path, artifact, pod.folder, on_volume)
            kept.append(artifact)
        except artifacts.ArtifactError as error:
            if not (declared.get("optional") and isinstance(error, artifacts.MissingArtifact)):
                problems += f"{error}; "
    return kept, problems
