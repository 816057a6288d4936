"""`document`: what a person must know about a model: card, bill of materials, provenance. Refused while people have not said their part."""

import os
from typing import Any

from steps import evaluation, mlbom, model_card, policy, provenance, release_request, store
from steps.contracts import DocumentIn, DocumentOut
from steps.decision import Decision
from steps.evaluation import Evaluation
from steps.faults import BadData, Bug
from steps.model_card import ModelCard
from steps.provenance import Facts
from steps.runfile import Plan, read_plan
from steps.runtime import main, place, scratch


def document(given: DocumentIn) -> DocumentOut:
    """Raises BadData naming every text that is missing or a placeholder."""
    plan, rules = read_plan(given.run), policy.read_policy()
    model_card.check(plan.model_card, plan.runfile.risk.risk_class, rules, plan.runfile.card)
    facts, decision = collect(given, plan), _decision(given)
    card = model_card.build(facts, decision, _scores(decision), rules)
    where = place("document", given)
    if where is None:
        raise Bug("a model card without a run")
    folder = scratch() / "card"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files(card, facts, given.run).items():
        (folder / name).write_bytes(content)
    store.commit(folder, where, {"model": given.model, "digest": given.digest})
    return DocumentOut(card=where)


def collect(given: DocumentIn, plan: Plan) -> Facts:
    """The machine's part, each fact from the record that proves it. Raises BadData when the model is not the one that was merged."""
    manifest = store.read_manifest(given.model)
    if manifest.about.get("digest") != given.digest:
        raise BadData(f"{given.model} is {manifest.about.get('digest')}, not {given.digest}; document the model that was merged")
    trained = store.read_manifest(given.trained).about
    count = provenance.parameters(manifest, store.read_json(store.join(given.model, "config.json")))
    return Facts(
        plan=plan,
        dataset=store.read_json(store.join(given.dataset, "dataset.json")),
        trained=trained,
        digest=given.digest,
        parameters=count,
        compute=provenance.compute(count, provenance.tokens(plan.training, trained), plan.runfile.base.training_flop),
        created=store.read_json(store.join(given.decision, "result.json"))["at"],  # a clock of our own would make two cards of one model
    )


def files(card: ModelCard, facts: Facts, run: str) -> dict[str, bytes]:
    """The folder's files. The same facts give the same bytes, so that a repeated step commits the same folder."""
    images = [os.environ[name] for name in ("FLEECE_TRAIN_IMAGE",) if os.environ.get(name)]
    return {
        "README.md": model_card.markdown(card).encode(),
        "model_card.json": store.to_json(card.model_dump(mode="json")),
        "mlbom.cdx.json": store.to_json(mlbom.build(card)),
        "provenance.json": store.to_json(provenance.statement(facts, run, images)),
    }


def _decision(given: DocumentIn) -> Decision:
    uri = store.join(given.decision, "gate.json")
    decision: Decision = release_request.parse(Decision, store.read(uri), uri)
    if decision.digest != given.digest:
        raise BadData(f"{uri} decides about {decision.digest}, not {given.digest}; document the model that was gated")
    return decision


def _scores(decision: Decision) -> dict[str, Evaluation]:
    evidence: dict[str, Any] = {"candidate": decision.candidate, "baseline": decision.anchor, "champion": decision.champion}
    return {name: evaluation.read(one.uri, scratch()).record for name, one in evidence.items() if one}


if __name__ == "__main__":
    main("document", document)
