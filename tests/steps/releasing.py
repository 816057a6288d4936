"""A store with trained models, keys, a releases repository and an environment whose model servers are real processes without a model."""

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from steps import (
    attestations,
    deploy,
    gitops,
    local_reconciler,
    modeldir,
    registry,
    release,
    release_request,
    rollout,
    server_process,
    signing,
    store,
)
from steps.attestations import Attestation, Head
from steps.contracts import DeployIn, DeployOut, RolloutIn, RolloutOut
from steps.release import Release
from steps.runfile import Plan

MODEL_ID = "team-x.triage.v1"
PROJECT = Path(__file__).parents[2]
SERVER = Path(__file__).with_name("model_server.py")
LOCAL = ["apiVersion: fleece/v1", "name: local", "reconciler: local", "start_seconds: 20", "drain_seconds: 10"]


@dataclass(frozen=True)
class Attested:
    """A model that was let out: its run and the signed statement."""

    run: str
    attestation: str
    digest: str


class World:
    """`file://` store of team-x, `file://` repository, and the settings that name them."""

    def __init__(self, home: Path, settings: pytest.MonkeyPatch) -> None:
        self.home = home
        self.store = f"file://{home}/store"
        self.git = f"file://{home}/git/releases.git"
        self.serving = home / "serving"
        (home / "environments").mkdir(parents=True)
        self.environment("local", *LOCAL, f"server: {json.dumps([sys.executable, '-IS', str(SERVER), '{folder}', '{port}', '{name}'])}")
        signing.keypair(home / "keys")
        for name, value in {
            "FLEECE_STORE": self.store,
            "FLEECE_TENANT": "team-x",
            "FLEECE_GITOPS": self.git,
            "FLEECE_SERVING": str(self.serving),
            "FLEECE_ENVIRONMENTS": str(home / "environments"),
            "FLEECE_SIGNING_KEY": str(home / "keys" / "key.pem"),
            "FLEECE_VERIFY_KEY": str(home / "keys" / "key.pub.pem"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
            "TMPDIR": str(home),
        }.items():
            settings.setenv(name, value)

    def environment(self, name: str, *lines: str) -> None:
        (self.home / "environments" / f"{name}.yaml").write_text("\n".join(lines) + "\n")

    def model(self, version: int = 1, *, folder: Path | None = None, prompt: str = "", **behaviour: Any) -> Attested:
        """A committed model that was let out; without a folder it is one whose config says how the test's server behaves."""
        if folder is None:
            folder = self.home / f"model-{version}"
            folder.mkdir()
            (folder / "config.json").write_text(json.dumps({"version": version} | behaviour))
            (folder / "model.safetensors").write_bytes(bytes(8))
            (folder / "notes.bin").write_text("no part of the model")
        digest = modeldir.digest(folder)
        model = store.join(self.store, "models", MODEL_ID, digest.removeprefix("sha256:")[:12])
        store.commit(folder, model)
        run = store.join(self.store, "runs", f"{version:016x}")
        self._plan(run, prompt)
        return Attested(run, self._attested(run, model, digest, version), digest)

    def deploy(self, made: Attested, environment: str = "local", uid: str = "workflow-1") -> DeployOut:
        return deploy.deploy(DeployIn(run=made.run, attestation=made.attestation, environment=environment, uid=uid))

    def rollout(self, made: Attested, deployed: DeployOut) -> RolloutOut:
        return rollout.rollout(RolloutIn(run=made.run, release=deployed.release, commit=deployed.commit))

    def live(self, made: Attested, uid: str = "workflow-1") -> tuple[DeployOut, RolloutOut]:
        deployed = self.deploy(made, uid=uid)
        return deployed, self.rollout(made, deployed)

    def promoted(self, version: int = 1, **model: Any) -> Attested:
        """A model that was registered, is in production, and whose release is in git."""
        made = self.model(version, **model)
        statement = attestations.verified(made.attestation)
        number = registry.register(MODEL_ID, statement.model, made.digest, made.run, "VALIDATED", {}, None)
        assert number == version
        registry.promote(MODEL_ID, version)
        self.deploy(made)
        return made

    def program(self, verb: str, made: Attested, deployed: DeployOut) -> subprocess.Popen[bytes]:
        """The step as its container runs it."""
        flags = [f"--run={made.run}", f"--release={deployed.release}", f"--commit={deployed.commit}"]
        return subprocess.Popen([sys.executable, "-m", f"steps.{verb}", *flags], cwd=PROJECT)

    def route(self) -> local_reconciler.Route:
        route = local_reconciler.route(self.serving, "local", MODEL_ID)
        assert route is not None
        return route

    def servers(self) -> list[server_process.Server]:
        return server_process.records(self.serving / "local" / MODEL_ID / "servers")

    def in_git(self, environment: str = "local", revision: str = "main") -> Release:
        path = f"{release.folder(environment, 'team-x', MODEL_ID)}/release.json"
        return release.parse(self.log("show", f"{revision}:{path}").encode(), path)

    def log(self, *arguments: str) -> str:
        repository = self.git.removeprefix("file://")
        return subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, check=True).stdout.strip()

    def commits(self) -> int:
        return int(self.log("rev-list", "--count", "main"))

    def clone(self) -> gitops.Clone:
        return gitops.clone(self.git, "main", self.home)

    def _attested(self, run: str, model: str, digest: str, version: int) -> str:
        said = Attestation(
            run=run,
            request=store.join(run, "request", "0" * 16, "request.json"),
            tenant="team-x",
            model_id=MODEL_ID,
            version=version,
            model=model,
            digest=digest,
            manifest=release_request.sha256(store.read(store.join(model, store.MANIFEST))),
            signature=attestations.place(run, digest, "model.sig"),
            provenance=attestations.place(run, digest, "provenance.json"),
            decision=store.join(run, "gate", "0" * 16),
            champion="none",
            card=store.join(run, "document", "0" * 16),
            risk_class="MINIMAL",
            environment="local",
            approvals=[],
            policy="1",
            audit=Head(sequence=1, sha256="0" * 64),
            issued_at=datetime(2026, 11, 21, tzinfo=UTC),
        )
        uri = attestations.place(run, digest)
        store.backend(uri).replace(uri, attestations.sign(said))
        return uri

    def _plan(self, run: str, prompt: str) -> None:
        plan = Plan.model_validate(
            {
                "run_id": run.rpartition("/")[2],
                "runfile": {
                    "apiVersion": "fleece/v1",
                    "tenant": "team-x",
                    "model": MODEL_ID,
                    "owner": "team-x@example.org",
                    "base": {"source": "store://bases/tiny", "name": "tiny", "revision": "1", "license": "Apache-2.0"},
                    "dataset": {"name": "tickets", "source": "store://uploads/t.jsonl", "license": "CC0-1.0", "card": "card.yaml"},
                    "training": {"config": "train.yaml"},
                    "evaluation": {"max_new_tokens": 8},
                    "gate": "gate.yaml",
                    "risk": {"class": "MINIMAL", "rationale": "Sorts made-up tickets in a test of the release steps."},
                    "card": "card.yaml",
                    "deployment": {"environment": "local", "prompt": prompt},
                },
                "commit": {"repo": "here", "commit": "none", "dirty": False, "path": "run.yaml", "sha256": f"sha256:{'0' * 64}"},
                "training": {"template": "default"},
                "gate": {},
                "data_card": {},
                "model_card": {},
                "data": store.join(self.store, "sources", "0" * 16, "data.jsonl"),
                "data_digest": f"sha256:{'0' * 64}",
                "base": store.join(self.store, "bases", "tiny"),
                "base_digest": f"sha256:{'0' * 64}",
                "code": f"sha256:{'0' * 64}",
                "preset": "2x1-cpu",
            }
        )
        store.create_json(store.join(run, "plan.json"), plan.model_dump(mode="json", by_alias=True))
        prepared = store.join(run, "prepared")
        store.create_json(store.join(prepared, "task.json"), {"items": "test.jsonl"})
        items = json.dumps({"id": "1", "prompt": "Where is my parcel?", "target": "queue shipping", "system": "Sort tickets."})
        store.backend(prepared).create(store.join(prepared, "test.jsonl"), f"{items}\n".encode())
