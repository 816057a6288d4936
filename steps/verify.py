"""`verify`: the release's own look at everything: bytes, verdict, policy, approvals. Only then it signs, and what it signs is believed.

It runs where engineers start nothing, with the signing key. A parameter or a record of the run is a claim here, never a proof.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from steps import approvals, attestations, audit, evaluation, model_card, modeldir, policy, release_request, signing, store, submitters
from steps.approvals import Approval
from steps.attestations import Approved, Attestation, Head
from steps.contracts import VerifyIn, VerifyOut
from steps.decision import Decision, decide, policy_digest
from steps.faults import BadData, NotAllowed
from steps.gate_policy import parse_policy
from steps.policy import Policy
from steps.provenance import KIND as PROVENANCE
from steps.release_request import Read, ReleaseRequest, sha256
from steps.runfile import Plan, read_plan
from steps.runtime import main, scratch, setting
from steps.store import MANIFEST, File, Manifest


class Signed(NamedTuple):
    """Where the model's signature and provenance lie."""

    signature: str
    provenance: str


def verify(given: VerifyIn) -> VerifyOut:
    """Raises NotAllowed with the first thing that is not as the request says, or that policy forbids; then nothing is signed."""
    read, rules, now = release_request.read(given.request), policy.read_policy(), datetime.now(UTC).replace(microsecond=0)
    asked = read.request
    try:
        submitters.check(given.request, asked)
        manifest, decided = check(asked, rules)
        granted = approved(given, read, rules, now)
    except (NotAllowed, BadData) as fault:
        audit.append(audit.event("access.denied", given.request, asked.submitter, {"outcome": "denied", "reason": str(fault)}))
        raise
    signed = _sign_model(asked, manifest)
    place = attestations.place(asked.run, asked.digest)
    attestation = _attest(given.request, asked, signed, decided, granted, rules, now)
    store.backend(place).replace(place, attestations.sign(attestation))
    audit.append(audit.event("release.verified", given.request, asked.submitter, {"attestation": place, "digest": asked.digest}))
    return VerifyOut(run=asked.run, attestation=place, model_id=asked.model_id, environment=asked.environment)


def check(asked: ReleaseRequest, rules: Policy) -> tuple[Manifest, Decision]:
    """The evidence read again: the model folder's manifest and the gate's decision. Raises NotAllowed where one is not as claimed."""
    plan = read_plan(asked.run)
    _same_run(asked, plan)
    _same_bytes(asked)
    decided = _same_verdict(asked, plan)
    _documented(asked, plan, rules)
    folder = store.fetch(asked.model, scratch())
    if (found := modeldir.digest(folder)) != asked.digest:
        raise NotAllowed(f"{asked.model} holds the model {found}, not {asked.digest}; nothing was signed")
    return store.read_manifest(asked.model), decided


def approved(given: VerifyIn, read: Read, rules: Policy, now: datetime) -> dict[str, Approval]:
    """The approvals that count. Raises NotAllowed when policy lets the request out for nobody, or for more people than have agreed."""
    route, why = policy.route(rules, read.request.case())
    if route == "none":
        raise NotAllowed(f"{read.request.model_id}:{read.request.version} is not let out: {why}")
    if given.approval != "none" and (reason := approvals.objection(approvals.signed(given.approval), read, given.request, rules, now)):
        raise NotAllowed(f"{given.approval} does not count: {reason}")
    granted = approvals.granted(read, given.request, rules, now)
    if given.approval != "none" and given.approval not in granted:
        raise NotAllowed(f"{given.approval} is no approval of this run; give the one that `approve` wrote")
    needed = policy.needed(rules, read.request.case())
    if len(granted) < needed:
        raise NotAllowed(f"{len(granted)} of {needed} approvals are there ({why}); let {needed - len(granted)} more submit `approve`")
    return granted


def _same_run(asked: ReleaseRequest, plan: Plan) -> None:
    """What the request says of its run, against the plan that the run was made by."""
    said = (asked.tenant, asked.model_id, asked.risk_class, asked.environment, asked.dirty, asked.scheduled)
    file = plan.runfile
    true = (file.tenant, file.model, file.risk.risk_class, file.deployment.environment, plan.commit.dirty, asked.submitter is None)
    if said != true:
        differing = next(f"{one!r}, not {other!r}" for one, other in zip(said, true, strict=True) if one != other)
        raise NotAllowed(f"the request is not of its run's plan: it says {differing}; submit the run again")


def _same_bytes(asked: ReleaseRequest) -> None:
    if asked.evidence != release_request.evidence(asked.run, asked.model, asked.decision, asked.card):
        changed = [uri for uri, digest in asked.evidence.items() if not store.exists(uri) or sha256(store.read(uri)) != digest]
        raise NotAllowed(f"the evidence is not what was requested: {', '.join(changed) or 'other files'} changed; submit the run again")


def _same_verdict(asked: ReleaseRequest, plan: Plan) -> Decision:
    """The gate's decision made again from the per-item records: a verdict in a parameter, an output or gate.json proves nothing."""
    recorded: Decision = release_request.parse(Decision, store.read(store.join(asked.decision, "gate.json")), asked.decision)
    candidate, anchor = (evaluation.read(one.uri, scratch()) for one in (recorded.candidate, recorded.anchor))
    champion = evaluation.read(recorded.champion.uri, scratch()) if recorded.champion else None
    if anchor.record.digest != plan.base_digest:
        raise NotAllowed(f"the gate compared with {anchor.record.digest}, which is not the run's base model; submit the run again")
    again = decide(parse_policy(plan.gate, "the run's gate policy"), policy_digest(plan.gate), asked.digest, candidate, anchor, champion)
    if again != recorded or again.verdict != asked.verdict:
        raise NotAllowed(f"the records give {again.verdict}, the request says {asked.verdict}; gate.json does not follow from its evidence")
    return recorded


def _documented(asked: ReleaseRequest, plan: Plan, rules: Policy) -> None:
    folder = store.fetch(asked.card, scratch())
    card: model_card.ModelCard = release_request.parse(model_card.ModelCard, (folder / "model_card.json").read_bytes(), asked.card)
    if (card.identification.digest, card.risk.risk_class) != (asked.digest, asked.risk_class):
        raise NotAllowed(f"{asked.card} is the card of another model or risk class; run `document` again")
    model_card.check(plan.model_card, asked.risk_class, rules, plan.runfile.card)


def _sign_model(asked: ReleaseRequest, manifest: Manifest) -> Signed:
    """Sign every file of the model folder, its manifest included, and the provenance that `document` wrote."""
    raw = store.read(store.join(asked.model, MANIFEST))
    files = [*manifest.files, File(path=MANIFEST, size=len(raw), sha256=sha256(raw).removeprefix("sha256:"))]
    signed = Signed(*(attestations.place(asked.run, asked.digest, suffix) for suffix in ("model.sig", "provenance.json")))
    store.backend(asked.run).replace(signed.signature, signing.sign_model(asked.model_id, files))
    said = store.read_json(store.join(asked.card, "provenance.json"))
    if said["predicateType"] != PROVENANCE or said["subject"][0]["digest"] != {"sha256": asked.digest.removeprefix("sha256:")}:
        raise NotAllowed(f"{asked.card} holds the provenance of another model; run `document` again")
    store.backend(asked.run).replace(signed.provenance, signing.sign(said))
    return signed


def _attest(
    request: str, asked: ReleaseRequest, signed: Signed, decided: Decision, granted: dict[str, Approval], rules: Policy, now: datetime
) -> Attestation:
    end = audit.head(setting("FLEECE_STORE"))
    champion = decided.champion.digest if decided.champion else "none"
    return Attestation(
        run=asked.run, request=request, tenant=asked.tenant, model_id=asked.model_id, version=asked.version, model=asked.model,
        digest=asked.digest, manifest=asked.evidence[store.join(asked.model, MANIFEST)], signature=signed.signature,
        provenance=signed.provenance, decision=asked.decision, champion=champion, card=asked.card,
        risk_class=asked.risk_class, environment=asked.environment,
        approvals=[Approved(approver=one.approver.sub, record=uri) for uri, one in granted.items()], policy=rules.risk.version,
        audit=Head(sequence=end.sequence, sha256=end.sha256), issued_at=now,
    )  # fmt: skip


if __name__ == "__main__":
    main("verify", verify)
