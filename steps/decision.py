"""The gate's decision: a pure function of policy, evaluations and digests, so that `verify` comes to the same one from the same evidence.

    any check failed, any rule failed or invalid   hold
    else, any rule inconclusive                    undecided
    else                                           promote

All rules must pass (an intersection-union test), so each is tested at the policy's alpha without correction, and the chance to promote a
model that misses one of its lines is at most alpha. https://doi.org/10.1214/ss/1032280304
"""

import hashlib
import math
from collections import Counter
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from steps import evaluation, store
from steps.contracts import Verdict
from steps.evaluation import Measured
from steps.gate_policy import Policy, Reference
from steps.gate_rules import NAMES, Finding, judge, without_numbers

SAME_MODEL = 1e-3  # nats; the same weights on the same prompts differ by less than 1e-5 in float32


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Check(_Strict):
    """Something that must hold before any number is believed."""

    name: str
    ok: bool
    words: str


class Evidence(_Strict):
    """A committed evaluation and the model it is of."""

    uri: str
    sha256: str
    digest: str


class Decision(_Strict):
    """`gate.json`. The same policy, evaluations and digest give the same bytes."""

    apiVersion: Literal["gate-decision/v1"] = "gate-decision/v1"  # Kubernetes' spelling
    verdict: Verdict
    reason: str
    digest: str
    policy_sha256: str
    alpha: float
    candidate: Evidence
    anchor: Evidence
    champion: Evidence | None
    checks: list[Check]
    findings: list[Finding]


def policy_digest(policy: dict[str, Any]) -> str:
    """sha256 of the policy as written in the plan."""
    return "sha256:" + hashlib.sha256(store.to_json(policy)).hexdigest()


def decide(policy: Policy, policy_sha256: str, digest: str, candidate: Measured, anchor: Measured, champion: Measured | None) -> Decision:
    """Whether the model with this digest may be promoted. `anchor` is the base model's evaluation.

    A candidate that is in production already passes the rules against the champion, so that a second identical run ends in `promote`
    and the promotion changes nothing; its other rules are judged as ever.
    """
    references: dict[Reference, Measured] = {"anchor": anchor, "champion": champion} if champion else {"anchor": anchor}
    checks = _checks(policy, digest, candidate, references)
    if all(check.ok for check in checks):
        findings = [finding for rule in policy.rules for finding in judge(rule, policy, candidate, references)]
    else:
        findings = [without_numbers(rule, None, "invalid", "the evaluations cannot be compared") for rule in policy.rules]
    verdict, reason = _verdict(checks, findings)
    return Decision(
        verdict=verdict, reason=reason, digest=digest, policy_sha256=policy_sha256, alpha=policy.alpha, candidate=_evidence(candidate),
        anchor=_evidence(anchor), champion=_evidence(champion) if champion else None, checks=checks, findings=findings,
    )  # fmt: skip


def _verdict(checks: list[Check], findings: list[Finding]) -> tuple[Verdict, str]:
    broken = [check.words for check in checks if not check.ok]
    held = broken or [finding.words for finding in findings if finding.outcome in ("fail", "invalid")]
    if held:
        return "hold", f"Hold: {'; '.join(held)}"
    if unclear := [finding.words for finding in findings if finding.outcome == "inconclusive"]:
        return "undecided", f"Undecided: {'; '.join(unclear)}"
    return "promote", f"Promote: {'; '.join(finding.words for finding in findings)}"


def _checks(policy: Policy, digest: str, candidate: Measured, references: dict[Reference, Measured]) -> list[Check]:
    everyone = {"the candidate": candidate} | {NAMES[name]: measured for name, measured in references.items()}
    checks = [_is_what_was_trained(candidate, digest), _is_not_the_base(candidate, references["anchor"])]
    for name, measured in everyone.items():
        checks += [_holds_together(name, measured), _prompts_fit(name, measured, policy.validity.max_truncated)]
        if policy.validity.forbid_limit:
            checks.append(_whole_set(name, measured))
    for reference, measured in references.items():
        checks += [_same_way(candidate, reference, measured), _same_items(candidate, reference, measured)]
    if "champion" not in references:
        words = "there is no model in production yet; the base model stands in for it"
        checks.append(Check(name="model in production", ok=True, words=words))
    return checks


def _is_what_was_trained(candidate: Measured, digest: str) -> Check:
    seen = candidate.record.digest
    words = "the candidate's evaluation is of the model that was trained"
    if ok := seen == digest:
        return Check(name="identity", ok=ok, words=words)
    return Check(name="identity", ok=ok, words=f"the candidate's evaluation is of {seen[:19]}, the model that was trained is {digest[:19]}")


def _is_not_the_base(candidate: Measured, anchor: Measured) -> Check:
    """A merge that lost the adapter, or a wrong path, gives the base model's answers under another name."""
    ours, theirs = candidate.record.probe, anchor.record.probe
    name = "candidate and base differ"
    if candidate.record.digest == anchor.record.digest:
        return Check(name=name, ok=False, words="you evaluated the base model: candidate and base have the same digest")
    if not ours or len(ours) != len(theirs):
        return Check(name=name, ok=False, words="the evaluations hold no comparable fingerprints; evaluate both models again")
    distance = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    if distance <= SAME_MODEL:
        words = "you evaluated the base model: the candidate's first tokens have the base model's probabilities"
        return Check(name=name, ok=False, words=words)
    return Check(name=name, ok=True, words=f"the candidate does not behave as the base model (log-probabilities differ by {distance:.2g})")


def _holds_together(name: str, measured: Measured) -> Check:
    """Unique items, finite scores, and the means that were recorded."""
    double = [key for key, times in Counter((item.task, item.id) for item in measured.items).items() if times > 1]
    if double:
        return Check(name="records", ok=False, words=f"the evaluation of {name} holds item {double[0][1]} of {double[0][0]} twice")
    if len(measured.items) != measured.record.n or not _close(evaluation.means(measured.items), measured.record.metrics):
        return Check(name="records", ok=False, words=f"the scores of {name} do not follow from its items; evaluate it again")
    return Check(name="records", ok=True, words=f"the scores of {name} follow from its {measured.record.n:,} items")


def _close(ours: dict[str, dict[str, evaluation.Score]], theirs: dict[str, dict[str, evaluation.Score]]) -> bool:
    flat = [{(task, metric): score.value for task, of in scores.items() for metric, score in of.items()} for scores in (ours, theirs)]
    return flat[0].keys() == flat[1].keys() and all(math.isclose(flat[0][key], flat[1][key], abs_tol=1e-9) for key in flat[0])


def _prompts_fit(name: str, measured: Measured, allowed: float) -> Check:
    cut = sum(item.truncated for item in measured.items)
    words = f"{cut} of {measured.record.n:,} prompts were cut to fit {name}"
    return Check(name="whole prompts", ok=cut <= allowed * measured.record.n, words=words if cut else f"no prompt was cut to fit {name}")


def _whole_set(name: str, measured: Measured) -> Check:
    limit = measured.record.limit
    if limit is None:
        return Check(name="whole test set", ok=True, words=f"{name} was measured on all items")
    return Check(name="whole test set", ok=False, words=f"{name} was measured on {limit} items a task only; the policy forbids a limit")


def _same_way(candidate: Measured, reference: Reference, measured: Measured) -> Check:
    fields = {"task_hash": "task", "harness": "harness", "backend": "backend", "template_sha": "chat template"}
    other = [f"another {words}" for field, words in fields.items() if getattr(candidate.record, field) != getattr(measured.record, field)]
    if other:
        return Check(name="same conditions", ok=False, words=f"{NAMES[reference]} was measured with {' and '.join(other)}")
    return Check(
        name="same conditions",
        ok=True,
        words=f"the candidate and {NAMES[reference]} had the same task, harness ({candidate.record.harness}), backend and chat template",
    )


def _same_items(candidate: Measured, reference: Reference, measured: Measured) -> Check:
    ours, theirs = _shown(candidate), _shown(measured)
    if ours == theirs:
        return Check(name="same items", ok=True, words=f"the candidate and {NAMES[reference]} saw the same prompts and targets")
    differing = len({key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)})
    return Check(name="same items", ok=False, words=f"the candidate and {NAMES[reference]} saw {differing:,} different items")


def _shown(measured: Measured) -> dict[tuple[str, str], tuple[str, str]]:
    return {(item.task, item.id): (item.prompt_hash, item.target_hash) for item in measured.items}


def _evidence(measured: Measured) -> Evidence:
    return Evidence(uri=measured.uri, sha256=measured.sha256, digest=measured.record.digest)
