"""The model card: ten sections, filled by the machine where bytes can prove it and by people where they cannot.

The fields of the front matter are Hugging Face's, so the folder is a valid model repository.
https://huggingface.co/docs/hub/model-cards
"""

import html
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from steps import cards
from steps.decision import Decision
from steps.evaluation import Evaluation, Score
from steps.faults import BadData
from steps.gate_rules import Finding
from steps.policy import Policy
from steps.provenance import Compute, Facts
from steps.runfile import RiskClass

HUMAN = ("purpose", "out_of_scope", "limitations", "misuse", "oversight", "contact", "data_origin", "data_gaps", "interpretation")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Identification(_Section):
    model_id: str
    digest: str
    parameters: int
    base_model: str
    base_revision: str
    base_digest: str
    license: str
    run: str
    owner: str
    created: str
    config: str
    commit: str
    dirty: bool
    config_sha256: str


class Purpose(_Section):
    purpose: list[str]
    out_of_scope: list[str]


class Risk(_Section):
    risk_class: RiskClass
    rationale: str
    policy: str


class Data(_Section):
    data_id: str
    source_digest: str
    format: str
    license: str
    rows: int
    train_rows: int
    findings: list[dict[str, Any]]
    card: dict[str, Any]
    origin: list[str]
    gaps: list[str]


class Method(_Section):
    stage: str
    finetuning: str
    seed: int
    preset: str
    world_size: int
    steps: int
    seconds: float
    loss: float
    resumed_from: int
    configuration: dict[str, Any]
    versions: dict[str, str]
    compute: Compute


class Results(_Section):
    """Scores by model, task and metric, and what the gate made of them."""

    verdict: str
    reason: str
    findings: list[Finding]
    harness: str
    scores: dict[str, dict[str, dict[str, Score]]]
    interpretation: list[str]


class Limitations(_Section):
    limitations: list[str]
    misuse: list[str]


class Oversight(_Section):
    oversight: list[str]
    gate_policy: str
    rollback: str


class Logging(_Section):
    audit: str
    records: str


class Contact(_Section):
    contact: list[str]
    owner: str


class ModelCard(_Section):
    """`model_card.json`."""

    apiVersion: Literal["model-card/v1"] = "model-card/v1"
    identification: Identification
    purpose: Purpose
    risk: Risk
    data: Data
    method: Method
    results: Results
    limitations: Limitations
    oversight: Oversight
    logging: Logging
    contact: Contact


def check(human: dict[str, Any], risk_class: RiskClass, policy: Policy, where: str) -> None:
    """Raises BadData naming every text that is missing for this risk class, unknown, or only a placeholder."""
    required = sorted({*policy.rules(risk_class).card, *(name for name in HUMAN if name in human)}, key=HUMAN.index)
    unknown = [f"{name} is no field of the card" for name in human if name not in HUMAN]
    if faults := [*unknown, *cards.problems(human, required, policy.risk.min_chars)]:
        raise BadData(f"{where}: {'; '.join(faults)}. A {risk_class} model needs these texts from people; write them and run again")


def build(facts: Facts, decision: Decision, scores: dict[str, Evaluation], policy: Policy) -> ModelCard:
    """The card of a model. Pure: the same facts give the same card."""
    plan, human = facts.plan, {name: texts(facts.plan.model_card.get(name)) for name in HUMAN}
    file, trained = plan.runfile, facts.trained
    return ModelCard(
        identification=Identification(
            model_id=file.model, digest=facts.digest, parameters=facts.parameters, base_model=file.base.name,
            base_revision=file.base.revision, base_digest=plan.base_digest, license=file.base.license, run=plan.run_id,
            owner=file.owner, created=facts.created,
            config=plan.commit.path, commit=plan.commit.commit, dirty=plan.commit.dirty, config_sha256=plan.commit.sha256,
        ),
        purpose=Purpose(purpose=human["purpose"], out_of_scope=human["out_of_scope"]),
        risk=Risk(risk_class=file.risk.risk_class, rationale=file.risk.rationale, policy=policy.risk.version),
        data=Data(
            data_id=facts.dataset["data_id"], source_digest=plan.data_digest, format=file.dataset.format, license=file.dataset.license,
            rows=facts.dataset["rows"], train_rows=trained["train_rows"], findings=facts.dataset.get("findings", []), card=plan.data_card,
            origin=human["data_origin"], gaps=human["data_gaps"],
        ),
        method=Method(
            stage=str(plan.training.get("stage", "sft")), finetuning=str(plan.training.get("finetuning_type", "lora")),
            seed=file.training.seed, preset=plan.preset, world_size=trained["world_size"], steps=trained["steps"],
            seconds=trained["seconds"], loss=trained["loss"], resumed_from=trained["resumed_from"], configuration=plan.training,
            versions=trained["versions"], compute=facts.compute,
        ),
        results=Results(
            verdict=decision.verdict, reason=decision.reason, findings=decision.findings, harness=scores["candidate"].harness,
            scores={name: found.metrics for name, found in scores.items()}, interpretation=human["interpretation"],
        ),
        limitations=Limitations(limitations=human["limitations"], misuse=human["misuse"]),
        oversight=Oversight(
            oversight=human["oversight"], gate_policy=decision.policy_sha256,
            rollback="The version before it keeps the registry's alias `previous`; `rollback` makes it live again.",
        ),
        logging=Logging(audit="audit/ of the tenant's store: hash-chained, created and never changed", records=f"runs/{plan.run_id}/"),
        contact=Contact(contact=human["contact"], owner=file.owner),
    )  # fmt: skip


def texts(value: Any) -> list[str]:
    """A human text as paragraphs; one that does not apply as its reason."""
    if isinstance(value, dict):
        return [f"Not applicable: {value['reason']}"]
    found = value if isinstance(value, list) else [value] if value else []
    return [" ".join(str(text).split()) for text in found]


def front_matter(card: ModelCard) -> dict[str, Any]:
    """The YAML head that Hugging Face reads; `risk_class` is ours and survives there."""
    about = card.identification
    results = [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": task, "type": card.data.data_id.partition("@")[0]},
            "metrics": [{"type": metric, "value": score.value} for metric, score in metrics.items()],
        }
        for task, metrics in card.results.scores["candidate"].items()
    ]
    return {
        "license": about.license.lower(),
        "base_model": about.base_model,
        "base_model_relation": "finetune",
        "datasets": [card.data.data_id.partition("@")[0]],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["fleece", "llama-factory", card.method.stage],
        "risk_class": card.risk.risk_class,
        "model-index": [{"name": about.model_id, "results": results}],
    }


def markdown(card: ModelCard) -> str:
    """README.md: front matter and the ten sections. Everything from outside is escaped: it can neither be HTML nor break a table."""
    import yaml

    head = yaml.safe_dump(front_matter(card), sort_keys=False, allow_unicode=True, width=140)
    parts = [f"## {number}. {title}\n\n{body}" for number, (title, body) in enumerate(_sections(card).items(), 1)]
    return f"---\n{head}---\n\n# {_safe(card.identification.model_id)}\n\n" + "\n\n".join(parts) + "\n"


def _sections(card: ModelCard) -> dict[str, str]:
    """Title and Markdown of each section, in order."""
    about, data, method, results = card.identification, card.data, card.method, card.results
    return {
        "Identification": _table(about.model_dump()),
        "Purpose": f"{_paragraphs(card.purpose.purpose)}\n\n**Not for:**\n\n{_list(card.purpose.out_of_scope)}",
        "Risk class": f"**{card.risk.risk_class}** (policy {_safe(card.risk.policy)}). {_safe(card.risk.rationale)}",
        "Training data": f"{_table(data.model_dump(exclude={'findings', 'card', 'origin', 'gaps'}))}\n\n"
        f"{_paragraphs(data.origin)}\n\n**Known gaps:** {_paragraphs(data.gaps)}\n\n{_table(data.card)}",
        "Method": f"{_table(method.model_dump(exclude={'configuration', 'versions', 'compute'}))}\n\n{_safe(method.compute.words)}\n\n"
        f"{_table(method.versions)}\n\nConfiguration as written:\n\n{_table(method.configuration)}",
        "Results": f"**{results.verdict}**: {_safe(results.reason)}\n\n{_scores(results)}\n\n{_paragraphs(results.interpretation)}",
        "Limitations": f"{_list(card.limitations.limitations)}\n\n**Foreseeable misuse:** {_paragraphs(card.limitations.misuse)}",
        "Control and oversight": f"{_paragraphs(card.oversight.oversight)}\n\n{_safe(card.oversight.rollback)}\n\n"
        f"Gate policy: `{card.oversight.gate_policy}`",
        "Logging and audit": f"Audit log: {_safe(card.logging.audit)}. Records of the run: {_safe(card.logging.records)}",
        "Contact": f"{_paragraphs(card.contact.contact)}\n\nOwner: {_safe(card.contact.owner)}",
    }


def _scores(results: Results) -> str:
    lines = ["| model | task | metric | score | standard error |", "|---|---|---|---|---|"]
    for model, tasks in results.scores.items():
        for task, metrics in tasks.items():
            for metric, score in metrics.items():
                error = "" if score.stderr is None else f"{score.stderr:.4f}"
                lines.append(f"| {model} | {_safe(task)} | {_safe(metric)} | {score.value:.4f} | {error} |")
    return "\n".join(lines)


def _table(rows: dict[str, Any]) -> str:
    body = [f"| {_safe(name.replace('_', ' '))} | {_safe(value)} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *body])


def _list(items: list[str]) -> str:
    return "\n".join(f"- {_safe(item)}" for item in items) or "-"


def _paragraphs(items: list[str]) -> str:
    return "\n\n".join(_safe(item) for item in items) or "Nothing is said for this risk class."


def _safe(value: Any) -> str:
    text = html.escape(" ".join(str(value).split()), quote=False)
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", text)
