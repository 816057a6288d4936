"""Measure a model with lm-eval on the team's held-out items, and on the public tasks that the gate's policy names.

The result is kept under a key of everything that can change it, so a base model or a champion is measured once for all runs.
"""

import hashlib
import json
import time
from pathlib import Path

from steps import evaluation, harness, modeldir, store
from steps.contracts import EvaluateIn, EvaluateOut
from steps.evaluation import Evaluation
from steps.faults import BadData
from steps.gate_policy import Policy, parse_policy
from steps.harness import Measurement
from steps.runfile import Plan, read_plan
from steps.runtime import main, say, scratch, setting
from steps.team_test import Task, read_rows, read_task


def evaluate(given: EvaluateIn) -> EvaluateOut:
    """Score the model, or return the evaluation of the same model under the same conditions."""
    plan = read_plan(given.run)
    policy = parse_policy(plan.gate, "the run's gate policy")
    model = store.fetch(given.model, scratch())
    prepared = store.fetch(given.prepared, scratch())
    task = read_task(prepared)
    where, record = _conditions(given.model, model, prepared, task, plan, policy)
    if store.committed(where):
        say("evaluate", f"this {given.role} was evaluated under the same conditions before; its scores are used")
        record = evaluation.read(where, scratch()).record
    else:
        began = time.monotonic()
        rows = read_rows(prepared / task.items, task)
        found = harness.measure(model, harness.device(), task, rows, _public(policy, task), policy.clusters(), record.limit)
        record = _commit(where, record, found, given, time.monotonic() - began)
    score = record.metrics[task.task][task.metric].value
    say("evaluate", f"{given.role}: {task.metric} {score:.3f} on {task.task}, {record.n:,} items in all")
    return EvaluateOut(evaluation=where, score=score)


def template(model: Path) -> str:
    """The chat template, which transformers reads from its own file first. Raises BadData when the model has none."""
    if (own := model / "chat_template.jinja").is_file():
        return own.read_text()
    configuration = model / "tokenizer_config.json"
    found = json.loads(configuration.read_bytes()).get("chat_template") if configuration.is_file() else None
    if not found:
        raise BadData(f"the model {model.name} has no chat template; add chat_template.jinja to its base model")
    return json.dumps(found) if not isinstance(found, str) else found


def _conditions(uri: str, model: Path, prepared: Path, task: Task, plan: Plan, policy: Policy) -> tuple[str, Evaluation]:
    """Where the evaluation lies, and its record before anything was measured."""
    items = hashlib.sha256((prepared / task.items).read_bytes()).hexdigest()
    spec = [task.model_dump(exclude={"items"}), items, _public(policy, task), policy.clusters()]
    record = Evaluation(
        model=uri,
        digest=modeldir.digest(model),
        task=task.task,
        task_hash=hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest(),
        harness=harness.version(),
        backend=harness.device().backend,
        template_sha=hashlib.sha256(template(model).encode() if task.asks else b"").hexdigest(),
        limit=plan.runfile.evaluation.limit,
        batch_size=1,
        n=0,
        metrics={},
        probe=[],
    )
    key = evaluation.key(record.digest, record.task_hash, record.harness, record.backend, record.template_sha, record.limit)
    return store.join(setting("FLEECE_STORE"), "evaluations", key), record


def _public(policy: Policy, task: Task) -> list[str]:
    return sorted({rule.task for rule in policy.rules} - {task.task})


def _commit(where: str, record: Evaluation, found: Measurement, given: EvaluateIn, seconds: float) -> Evaluation:
    """Time, role and run go beside the files, not into them: of two processes at once both write the same bytes."""
    folder = scratch() / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    measured = {"n": len(found.items), "metrics": evaluation.means(found.items), "probe": found.probe, "batch_size": found.batch_size}
    record = record.model_copy(update=measured)
    evaluation.write(folder, record, found.items)
    store.commit(folder, where, {"seconds": round(seconds, 3), "role": given.role, "run": given.run})
    return record


if __name__ == "__main__":
    main("evaluate", evaluate)
