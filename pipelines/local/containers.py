"""Runs container and script templates as processes of this machine, and collects what they made."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.local import artifacts, durations, environment, paths, tags
from pipelines.local.images import Environment, Images
from pipelines.local.keeper import Job, Keeper, kill_left_over
from pipelines.local.nodes import Node, Template

LONGEST_ARGUMENT = 131072  # bytes; Linux MAX_ARG_STRLEN, and where Argo begins to pass arguments as files
LONGEST_RESULT = 262144  # bytes; https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/common/common.go
DEADLINE = "Pod was active on the node longer than the specified deadline"


class CannotStart(Exception):
    """The process cannot be started; the node's message."""


@dataclass
class Pod:
    """One node's process: what it is, where its files lie."""

    node: Node
    given: Template
    template: Template
    folder: Path
    paths: paths.Paths
    capture: bool
    ends: float | None = None
    stopped: str = ""
    killed_at: float | None = None

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = self.template.get("container") or self.template["script"]
        return body


@dataclass
class Machine:
    """What all processes of a run share."""

    keeper: Keeper
    home: Path
    workflow: str
    namespace: str
    volumes: list[dict[str, Any]]
    images: Images
    objects: Any
    cwd: str
    warm: Callable[[Environment], str]


def prepare(machine: Machine, node: Node, template: Template, folder: Path, capture: bool) -> Pod:
    """The node's folder, made anew, with inputs in their places. CannotStart when something is missing."""
    kill_left_over(folder)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, mode=0o700)
    (folder / "root" / "tmp").mkdir(parents=True)
    try:
        pod = located(machine, node, template, folder, capture)
        for artifact in (template.get("inputs") or {}).get("artifacts") or []:
            if artifact.get("path"):
                artifacts.load(machine.home, artifact, pod.paths.local(artifact["path"]))
    except (artifacts.MissingArtifact, LookupError, OSError) as error:
        raise CannotStart(str(error)) from None
    for path in paths.declared(template):
        pod.paths.local(path).parent.mkdir(parents=True, exist_ok=True)
    return pod


def located(machine: Machine, node: Node, template: Template, folder: Path, capture: bool) -> Pod:
    """The pod of a node whose folder exists."""
    wanted = {m["name"] for m in (template.get("container") or template["script"]).get("volumeMounts") or []}
    known = {v["name"]: v for v in [*machine.volumes, *(template.get("volumes") or [])]}
    folders = {
        name: paths.volume(known[name], folder, machine.home, machine.namespace, machine.objects) for name in wanted if name in known
    }
    places = paths.of_node(folder, template, folders, machine.cwd)
    filled: Template = tags.substitute_json(template, paths.placeholders(template, places), tolerant=True)
    return Pod(node, template, filled, folder, places, capture)


def launch(machine: Machine, pod: Pod, pod_name: str, now: float) -> None:
    """Start the process. CannotStart when its environment or command cannot be made."""
    known = {"ARGO_POD_NAME": pod_name, "ARGO_NODE_ID": pod.node["id"], "ARGO_CONTAINER_NAME": "main"}
    try:
        own = environment.declared(pod.body, known, machine.objects)
    except environment.Missing as error:
        raise CannotStart(f"Error: {error}") from None
    chosen = machine.images.find(pod.body.get("image", ""))
    env = environment.base(str(pod.paths.local(paths.SCRATCH))) | chosen.env | known
    env["ARGO_PROGRESS_FILE"] = str(pod.folder / "progress")
    written = {one["name"] for one in pod.body.get("env") or [] if "value" in one}  # what the template wrote, not what an object holds
    env |= {name: pod.paths.move(value) if name in written else value for name, value in own.items()}
    folders = [f for f in (machine.warm(chosen), chosen.bin) if f]
    env["PATH"] = ":".join([*folders, env.get("PATH", "/usr/local/bin:/usr/bin:/bin")])
    argv = command(pod, known, own)
    cwd = Path(pod.paths.base)
    cwd.mkdir(parents=True, exist_ok=True)
    machine.keeper.spawn(pod.node["id"], argv, env, str(cwd), pod.folder, pod.capture)
    pod.ends = _deadline(pod.template, now)


def command(pod: Pod, known: dict[str, str], own: dict[str, str]) -> list[str]:
    """The arguments of the process, `$(NAME)` expanded, declared paths moved. CannotStart when one is too long for the kernel."""
    values = known | own
    words = [*(pod.body.get("command") or []), *(pod.body.get("args") or [])]
    argv = [pod.paths.move(environment.expand(word, values)) for word in words]
    if "script" in pod.template:
        file = pod.folder / "script"
        # A script travels in a variable of the pod, so `$$` and the pod's own names are expanded in it too (argo-control-flow 242).
        file.write_text(pod.paths.move(environment.expand(pod.body["source"], {"ARGO_POD_NAME": known["ARGO_POD_NAME"]})))
        argv.append(str(file))
    if not argv:
        raise CannotStart("main: Error (exit code 64): the container has no command; say which, images are not looked into")
    for word in argv:
        if len(word.encode()) >= LONGEST_ARGUMENT:
            raise CannotStart(f"main: Error (exit code 64): an argument of {len(word.encode())} bytes; at most {LONGEST_ARGUMENT - 1} fit")
    return argv


def _deadline(template: Template, now: float) -> float | None:
    limits = []
    if template.get("activeDeadlineSeconds") is not None:
        limits.append(float(template["activeDeadlineSeconds"]))
    if template.get("timeout"):
        limits.append(durations.parse(str(template["timeout"])))
    return now + min(limits) if limits else None


def ended(machine: Machine, pod: Pod, pod_name: str, end: Job) -> tuple[str, str, dict[str, Any]]:
    """Phase, message and outputs of a node whose process is over."""
    found: dict[str, Any] = {}
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
    return next((path for path in declared if path and pod.paths.local(path).is_dir()), "")


def _copy_failed(pod: Pod, end: Job, path: str) -> Job:
    """As Argo's executor puts it (argo-data-flow 254)."""
    target = f"/var/run/argo/outputs/parameters/{path}"
    problem = f"failed to copy {path} to {target}: write {target}: copy_file_range: is a directory"
    with (pod.folder / "main.log").open("a") as log:
        log.write(f"Error: {problem}\n{problem}\n")
    return end | {"code": 64, "error": problem}


def _parameters(pod: Pod) -> tuple[list[dict[str, Any]], str]:
    """The output parameters, and what went wrong with the first that is missing."""
    found, problem = [], ""
    for declared in (pod.template.get("outputs") or {}).get("parameters") or []:
        source, parameter = declared.get("valueFrom") or {}, dict(declared)
        if "path" not in source:
            found.append(parameter)
            continue
        path = pod.paths.local(source["path"])
        if path.is_dir():
            parameter["value"] = ""
        elif path.is_file():
            parameter["value"] = path.read_bytes().decode("utf-8", "replace").removesuffix("\n")
        elif "default" in source:
            parameter["value"] = source["default"]
        else:
            problem = problem or f"open /var/run/argo/outputs/parameters{source['path']}: no such file or directory"
        found.append(parameter)
    return found, problem


def _artifacts(machine: Machine, pod: Pod, pod_name: str) -> tuple[list[dict[str, Any]], str]:
    kept, missing = [], ""
    for declared in (pod.template.get("outputs") or {}).get("artifacts") or []:
        path = pod.paths.local(declared["path"])
        if path.exists():
            artifact = dict(declared)
            if not artifacts.key(artifact):
                artifact["gcs"] = {"key": artifacts.default_key(machine.workflow, pod_name, declared)}
            artifacts.save(machine.home, path, artifacts.key(artifact))
            kept.append(artifact)
        elif not declared.get("optional"):
            missing += f"open /var/run/argo/outputs/artifacts{declared['path']}.tgz: no such file or directory; "
    return kept, missing
