"""A store with a run that has come as far as its gate: real evaluations, a real decision, keys, policies and a registry."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from steps import document, gate, modeldir, release_request, request, signing, store
from steps.contracts import DocumentIn, GateIn, RequestIn, RequestOut
from steps.policy import FOLDER as POLICIES
from steps.release_request import ReleaseRequest
from tests.steps import gate_cases
from tests.steps.workflow_api import WorkflowApi

MODEL_ID = "default.triage.v1"
ALICE, BOB, CAROL = ({"workflows.argoproj.io/creator": name} for name in ("alice", "bob", "carol"))
TEXT = "Written by a person, and long enough to say something about"
HUMAN: dict[str, Any] = {
    "purpose": f"{TEXT} the purpose.",
    "out_of_scope": [f"{TEXT} what it is not for."],
    "limitations": [f"{TEXT} its limits."],
    "misuse": f"{TEXT} its misuse.",
    "oversight": f"{TEXT} who watches it.",
    "contact": "owner@example.org",
    "data_origin": f"{TEXT} the data's origin.",
    "data_gaps": f"{TEXT} what the data lacks.",
    "interpretation": f"{TEXT} what the scores mean.",
}


@dataclass(frozen=True)
class Gated:
    """A run with a decided gate, and its card once it is written."""

    run: str
    dataset: str
    trained: str
    model: str
    digest: str
    decision: str
    verdict: str
    evaluation: str

    def document(self) -> str:
        given = DocumentIn(
            run=self.run, dataset=self.dataset, trained=self.trained, model=self.model, digest=self.digest, decision=self.decision
        )
        return document.document(given).card


class World:
    """`file://` store of the tenant `default`, with the settings that name everything."""

    def __init__(self, home: Path, settings: pytest.MonkeyPatch) -> None:
        self.home, self.settings = home, settings
        self.api: WorkflowApi | None = None
        self.root = f"file://{home}/store"
        self.policies = home / "policies"
        shutil.copytree(POLICIES, self.policies)
        signing.keypair(home / "keys")
        for name, value in {
            "FLEECE_STORE": self.root,
            "FLEECE_POLICIES": str(self.policies),
            "FLEECE_SIGNING_KEY": str(home / "keys" / "key.pem"),
            "FLEECE_VERIFY_KEY": str(home / "keys" / "key.pub.pem"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
            "TMPDIR": str(home),
        }.items():
            settings.setenv(name, value)

    def on_cluster(self, *approvers: str) -> WorkflowApi:
        """As in a pod: the API has the Workflow of each request, admission pinned its creator label, and policy names the approvers."""
        self.api = WorkflowApi(self.home, self.settings)
        content = {"apiVersion": "approvers/v1", "valid_days": 7, "tenants": {"default": list(approvers)}}
        (self.policies / "approvers.yaml").write_text(yaml.safe_dump(content))
        return self.api

    def close(self) -> None:
        if self.api:
            self.api.close()

    def gated(
        self, name: str = "r1", right: int = 38, risk: str = "MINIMAL", dirty: bool = False, human: Any = None, champion: str = "none"
    ) -> Gated:
        """A run whose model got this many of 40 items right, and its base model two. `champion`: evaluation of the one in production."""
        run = store.join(self.root, "runs", name)
        model, digest = self._model(f"{name}-tuned")
        base, base_digest = self._model("base")
        plan = gate_cases.plan(gate_cases.POLICY) | {"run_id": name, "base": base, "base_digest": base_digest}
        plan["runfile"]["risk"]["class"] = risk
        plan["commit"]["dirty"] = dirty
        plan["model_card"] = HUMAN if human is None else human
        store.create_json(store.join(run, "plan.json"), plan)
        candidate = self._evaluation(f"{name}-tuned", gate_cases.answers(right), digest)
        baseline = self._evaluation("base", gate_cases.answers(2), base_digest)
        decided = gate.gate(GateIn(run=run, model=model, digest=digest, candidate=candidate, baseline=baseline, champion=champion))
        store.create_json(store.join(decided.decision, "result.json"), {"at": "2026-11-21T10:00:00+00:00"})
        return Gated(run, self._dataset(), self._trained(run), model, digest, decided.decision, decided.verdict, candidate)

    def requested(self, made: Gated, labels: dict[str, str] | None = None, **flags: Any) -> RequestOut:
        given = self.asks(made, labels, **flags)
        out = request.request(given)
        if self.api:
            self.api.submitted("default", given.workflow, given.uid, labels or {}, out.request)
        return out

    def asks(self, made: Gated, labels: dict[str, str] | None = None, **flags: Any) -> RequestIn:
        known: dict[str, Any] = {
            "run": made.run, "model": made.model, "digest": made.digest, "version": 1, "verdict": made.verdict, "decision": made.decision,
            "card": made.document(), "promote": "auto", "labels": store.to_json(labels or {}).decode().replace("\n", ""), "uid": "uid-1",
        }  # fmt: skip
        known |= flags
        return RequestIn(**{"workflow": f"finetune-{known['uid']}", **known})

    def read(self, uri: str) -> ReleaseRequest:
        return release_request.read(uri).request

    def rewrite(self, uri: str, **fields: Any) -> None:
        """Change a record as somebody could who may write to the store."""
        store.replace_json(uri, store.read_json(uri) | fields)

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        folder = store.join(self.root, "audit")
        found = [store.read_json(store.join(folder, name)) for name in store.backend(folder).names(folder)]
        return [event for event in found if kind in event["type"]]

    def _model(self, name: str) -> tuple[str, str]:
        folder = self.home / "models" / name
        uri = store.join(self.root, "models", name)
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "config.json").write_text('{"dtype": "float32"}')
            (folder / "model.safetensors").write_bytes(name.encode().ljust(400))
            store.commit(folder, uri, {"digest": modeldir.digest(folder)})
        return uri, modeldir.digest(folder)

    def _evaluation(self, name: str, answers: list[float], digest: str) -> str:
        found = gate_cases.measured(name, answers, digest=digest)
        place = self.home / "evaluations" / f"{name}-{len(answers)}"
        if not place.exists():
            place.mkdir(parents=True)
            return gate_cases.committed(place, self.root, found)
        return store.join(self.root, "evaluations", next(place.iterdir()).name)

    def _dataset(self) -> str:
        folder, uri = self.home / "dataset", store.join(self.root, "datasets", "tickets", "1")
        folder.mkdir(exist_ok=True)
        facts = {"data_id": f"tickets@{gate_cases.digest('rows')}", "rows": 100, "findings": []}
        (folder / "dataset.json").write_bytes(store.to_json(facts))
        store.commit(folder, uri)
        return uri

    def _trained(self, run: str) -> str:
        folder, uri = self.home / "trained", store.join(run, "trained")
        folder.mkdir(exist_ok=True)
        (folder / "adapter_config.json").write_text("{}")
        about = {
            "steps": 9,
            "loss": 0.1,
            "seconds": 3.5,
            "train_rows": 90,
            "world_size": 2,
            "resumed_from": 0,
            "versions": {"torch": "2.14.1"},
        }
        store.commit(folder, uri, about)
        return uri


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
