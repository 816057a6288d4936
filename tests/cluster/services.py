"""What a tenant's steps need beside Kubernetes, as one pod of the image fleece/services: a store, MLflow, git repositories."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

IMAGE = "fleece/services:0.1.0"
PORTS = {"storage": 4443, "mlflow": 5000, "git": 8080}
BUCKET = "fleece"
GIT_USER, GIT_PASSWORD = "fleece", "not-a-secret"
CONFIGS = Path(__file__).parents[2] / "configs"
Object = dict[str, Any]


def pod() -> Object:
    container = {
        "name": "services",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "GIT_PASSWORD", "value": GIT_PASSWORD}],
        "resources": {"requests": {"cpu": "100m"}},
        "ports": [{"name": name, "containerPort": port} for name, port in PORTS.items()],
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORTS["mlflow"]}, "periodSeconds": 2},
    }
    spec = {"containers": [container], "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1}
    return {"metadata": {"name": "services", "labels": {"app": "services"}}, "spec": spec}


def service() -> Object:
    ports = [{"name": name, "port": port} for name, port in PORTS.items()]
    return {"metadata": {"name": "services"}, "spec": {"selector": {"app": "services"}, "ports": ports}}


def settings(tenant: str, namespace: str) -> dict[str, str]:
    """The installation's settings that name these services, as the tenant's pods reach them."""
    host = f"http://services.{namespace}.svc.cluster.local"
    return {
        "FLEECE_STORE": f"gs://{BUCKET}/{tenant}",
        "FLEECE_CONFIG_REPO": f"{host}:{PORTS['git']}/config.git",
        "FLEECE_GITOPS": f"{host}:{PORTS['git']}/releases.git",
        "MLFLOW_TRACKING_URI": f"{host}:{PORTS['mlflow']}",
        "STORAGE_EMULATOR_HOST": f"{host}:{PORTS['storage']}",
    }


def configuration(folder: Path, tenant: str) -> None:
    """This project's configs/ as a tenant has them: its own name, and an environment where a commit is all that is made."""
    shutil.copytree(CONFIGS, folder / "configs", dirs_exist_ok=True)
    run = folder / "configs" / "demo" / "run.yaml"
    text = run.read_text().replace("tenant: default", f"tenant: {tenant}").replace("model: default.", f"model: {tenant}.")
    run.write_text(text.replace("environment: local", "environment: commit-only"))


def push(folder: Path, port: int, branch: str = "main") -> str:
    """Make a branch of the configuration hold what is in the folder. Gives the commit."""
    url = f"http://{GIT_USER}:{GIT_PASSWORD}@127.0.0.1:{port}/config.git"
    with tempfile.TemporaryDirectory() as scratch:
        git(Path(scratch), "clone", "--quiet", url, "clone")
        clone = Path(scratch) / "clone"
        shutil.copytree(folder, clone, dirs_exist_ok=True)
        git(clone, "checkout", "--quiet", "-B", branch)
        git(clone, "add", "--all")
        who = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
        git(clone, *who, "commit", "--quiet", "--allow-empty", "-m", "Configuration")
        git(clone, "push", "--quiet", "--force", "origin", branch)
        return git(clone, "rev-parse", "HEAD").strip()


def log(port: int, repository: str = "releases.git") -> list[str]:
    """Subjects of the commits on a repository's branch main, newest first."""
    with tempfile.TemporaryDirectory() as scratch:
        git(Path(scratch), "clone", "--quiet", f"http://127.0.0.1:{port}/{repository}", "clone")
        return git(Path(scratch) / "clone", "log", "--format=%H %s").splitlines()


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {arguments[0]}: {done.stderr}"
    return done.stdout
