"""This machine in place of a cluster: the objects that a platform engineer would install, written into the home folder.

The templates are the same; only the ends differ: a folder is the store, SQLite holds MLflow, a bare repository is the GitOps remote.
A setting that the user has in the environment (FLEECE_STORE=gs://…, MLFLOW_TRACKING_URI=http://…) is kept.
"""

import base64
import getpass
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parent.parent
TEMPLATES = PROJECT / "workflow-templates"
NAMESPACE = "default"
GANGS = "2"  # trainings at the same time on one machine
NAMESPACES = (NAMESPACE, f"{NAMESPACE}-release")  # RELEASE_NAMESPACE of pipelines/settings.py

# What ~80 % of a small training or evaluation job is spent on: imported once, and each job forks from there.
PRELOAD = (
    "llamafactory.train.tuner", "llamafactory.train.sft.workflow", "peft", "datasets", "lm_eval.evaluator", "lm_eval.tasks",
    "lm_eval.models.huggingface", "transformers.models.llama.modeling_llama", "transformers.tokenization_utils_tokenizers",
)  # fmt: skip
FORKED = ("steps.train.worker", "steps.merge", "steps.evaluate")
ASK_FIRST = ("steps.merge", "steps.evaluate")  # a recorded result needs no torch


def home() -> Path:
    """Where runs, the store and the local installation live: $FLEECE_HOME, else `.fleece` below the current folder."""
    return Path(os.environ.get("FLEECE_HOME") or ".fleece").absolute()


def settings(home: Path) -> dict[str, str]:
    """The ConfigMap `fleece`: what every step finds in its environment."""
    own = {
        "FLEECE_STORE": f"file://{home}/store",
        "FLEECE_TENANT": NAMESPACE,
        "FLEECE_CONFIG_REPO": str(Path.cwd()),
        "FLEECE_GITOPS": f"file://{home}/releases.git",
        "FLEECE_SERVING": str(home / "serving"),
        "FLEECE_OBJECTS": str(home / "objects"),
        "FLEECE_VERIFY_KEY": str(home / "keys" / "key.pub.pem"),
        "FLEECE_POLICIES": str(PROJECT / "configs" / "policies"),
        "FLEECE_ENVIRONMENTS": str(PROJECT / "configs" / "environments"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
    }
    return own | {name: os.environ[name] for name in own if os.environ.get(name)} | libraries(home)


def libraries(home: Path) -> dict[str, str]:
    """Settings of the libraries: nothing is downloaded, nothing is reported home, and two ranks share two cores."""
    return {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(home / "huggingface"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
    }


def ours(workflow: Mapping[str, object]) -> bool:
    """Do steps of ours run in it? Any other workflow needs no key, no registry and none of our settings."""
    text = json.dumps(workflow)
    return any(image in text for image in image_table(home()))


def install(home: Path, steps: bool = True) -> None:
    """Write the table of images and, for `steps` of ours, objects and signing key. Done at every start; what is there stays as it is."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(images(home), yaml.safe_dump(image_table(home)))
    if not steps:
        return
    _signing_key(home / "keys")
    for namespace in NAMESPACES:
        _object(home, namespace, "ConfigMap", "fleece", {"data": settings(home)})
        _object(home, namespace, "ConfigMap", "fleece-limits", {"data": {"gangs": GANGS}})
        for name in ("policies", "environments"):
            _object(home, namespace, "ConfigMap", f"fleece-{name}", {"data": _files(PROJECT / "configs" / name)})
    secret = {"data": {"key.pem": base64.b64encode((home / "keys" / "key.pem").read_bytes()).decode()}}
    _object(home, NAMESPACES[1], "Secret", "fleece-signing", secret)
    _registry(home)


def images(home: Path) -> Path:
    return home / "images.yaml"


def image_table(home: Path) -> dict[str, Mapping[str, object]]:
    """Which environment of this machine stands for an image: here, for all of ours, the one that `fleece` runs in."""
    core = {"bin": str(Path(sys.executable).parent), "env": libraries(home)}
    first = {"FLEECE_ASK_FIRST": " ".join(ASK_FIRST)}
    torch = core | {"warm": list(PRELOAD), "serve": list(FORKED), "env": libraries(home) | first}
    return {"fleece/core": core, "fleece/train": torch, "fleece/evaluate": torch}


def labels() -> dict[str, str]:
    """Who started the run, as Argo's server would label it."""
    user = re.sub(r"[^A-Za-z0-9._-]", "-", getpass.getuser()).strip("-._") or "local"
    return {"workflows.argoproj.io/creator": user[-63:]}


def _signing_key(folder: Path) -> None:
    if not (folder / "key.pem").is_file():
        from steps.signing import keypair

        keypair(folder)


def _registry(home: Path) -> None:
    """MLflow's SQLite file, made before the first run: its schema takes seconds, and a gang of processes should not wait for it."""
    if not (home / "mlflow.db").is_file() and settings(home)["MLFLOW_TRACKING_URI"] == f"sqlite:///{home}/mlflow.db":
        environment = os.environ | {"MLFLOW_TRACKING_URI": settings(home)["MLFLOW_TRACKING_URI"]}
        program = "from steps import mlflow_client; mlflow_client.client()"
        # In a process of its own: the 200 MB that it imports would stay with the runner.
        subprocess.run([sys.executable, "-c", program], check=True, env=environment, cwd=PROJECT)


def _files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("*.yaml"))}


def _object(home: Path, namespace: str, kind: str, name: str, content: Mapping[str, object]) -> None:
    manifest = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, **content}
    path = home / "objects" / namespace / kind / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(path, json.dumps(manifest, indent=1))
    if kind == "Secret":
        path.chmod(0o600)


def _write(path: Path, text: str) -> None:
    if path.is_file() and path.read_text() == text:
        return
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(path)
