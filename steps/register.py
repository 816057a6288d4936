"""`register`: the model becomes a version in the registry, with every fact that says what it is and why it may or may not be used."""

from steps import mlflow_client, modeldir, registry, store
from steps.contracts import RegisterIn, RegisterOut
from steps.faults import NotAllowed
from steps.model_card import ModelCard
from steps.release_request import parse
from steps.runfile import Plan, read_plan
from steps.runtime import main, scratch


def register(given: RegisterIn) -> RegisterOut:
    """Raises NotAllowed when the folder's bytes are not the model of that digest. The same run and digest are the same version, always."""
    folder = store.fetch(given.model, scratch())
    if (found := modeldir.digest(folder)) != given.digest:
        raise NotAllowed(f"{given.model} holds the model {found}, not {given.digest}; nothing was registered")
    plan = read_plan(given.run)
    card_uri = store.join(given.card, "model_card.json")
    card: ModelCard = parse(ModelCard, store.read(card_uri), card_uri)
    logged = mlflow_client.open_run(given.run, plan.run_id, plan.runfile.model)
    status: registry.Status = "VALIDATED" if given.verdict == "promote" else "REJECTED"
    version = registry.register(plan.runfile.model, given.model, given.digest, given.run, status, fields(given, plan, card), logged)
    results = {"fleece.verdict": given.verdict, "fleece.decision": given.decision, "fleece.card": given.card, "fleece.model": given.model}
    mlflow_client.log(logged, metrics(card), results | {"fleece.version": f"{plan.runfile.model}:{version}"})
    return RegisterOut(version=version, status="VALIDATED" if status == "VALIDATED" else "REJECTED")


def fields(given: RegisterIn, plan: Plan, card: ModelCard) -> dict[str, str]:
    """The registry's fields (REQUIREMENTS E1) as tags; number, source and times are the registry's own."""
    file, commit = plan.runfile, plan.commit
    return {
        "tenant": file.tenant,
        "owner": file.owner,
        "base_model": file.base.name,
        "base_model_revision": file.base.revision,
        "base_digest": plan.base_digest,
        "risk_class": file.risk.risk_class,
        "ai_act_notes": f"{file.risk.rationale} {card.method.compute.words}",
        "config_path": f"{commit.repo}@{commit.commit}#{commit.path}",
        "config_sha256": commit.sha256,
        "data_id": card.data.data_id,
        "verdict": given.verdict,
        "decision": given.decision,
        "card": given.card,
    } | {name: f"{value:.6g}" for name, value in metrics(card).items()}


def metrics(card: ModelCard) -> dict[str, float]:
    """`metric.<task>.<metric>` of the model, `baseline.…` of its base, `champion.…` of the one that was in production."""
    names = {"candidate": "metric", "baseline": "baseline", "champion": "champion"}
    return {
        f"{names[model]}.{task}.{metric.replace(',', '.')}": score.value
        for model, tasks in card.results.scores.items()
        for task, scores in tasks.items()
        for metric, score in scores.items()
    }


if __name__ == "__main__":
    main("register", register)
