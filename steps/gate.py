"""Decide whether the candidate may be promoted: policy and evaluations in, verdict and report out.

The same model as in production is promoted again, which changes nothing: a second identical run ends well, as `steps.decision` says.
"""

from steps import evaluation, gate_report, store
from steps.contracts import GateIn, GateOut
from steps.decision import decide, policy_digest
from steps.faults import Bug
from steps.gate_policy import parse_policy
from steps.runfile import read_plan
from steps.runtime import main, place, scratch


def gate(given: GateIn) -> GateOut:
    """Judge the candidate by every rule of the run's policy; what is missing or does not fit holds it."""
    plan = read_plan(given.run)
    policy = parse_policy(plan.gate, "the run's gate policy")
    candidate, anchor = (evaluation.read(uri, scratch()) for uri in (given.candidate, given.baseline))
    champion = None if given.champion == "none" else evaluation.read(given.champion, scratch())
    decision = decide(policy, policy_digest(plan.gate), given.digest, candidate, anchor, champion)
    where = place("gate", given)
    if where is None:
        raise Bug("the gate has no run to write its decision to")
    report = gate_report.Report(plan.runfile.model, plan.run_id, decision, candidate, anchor, champion)
    store.create_json(store.join(where, "gate.json"), decision.model_dump(mode="json"))
    store.backend(where).create(store.join(where, "report.html"), gate_report.html(report).encode())
    store.backend(where).create(store.join(where, "report.md"), gate_report.markdown(report).encode())
    return GateOut(verdict=decision.verdict, reason=decision.reason, decision=where)


if __name__ == "__main__":
    main("gate", gate)
