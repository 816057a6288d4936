"""Who and what may let a model out: the risk classes and the approvers of `configs/policies`, strict and fail-closed.

Nothing here comes from a workflow parameter, which is only the submitter's word. https://eur-lex.europa.eu/eli/reg/2024/1689/oj
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from steps import identity, strict_yaml
from steps.contracts import Verdict
from steps.faults import BadInput
from steps.identity import Person
from steps.runfile import RiskClass

Route = Literal["auto", "ask", "none"]
FOLDER = Path(__file__).resolve().parent.parent / "configs" / "policies"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ByItself(_Strict):
    submitted: bool = Field(False, description="a request of a run that a person submitted")
    scheduled: bool = Field(False, description="a request of a run that a schedule started")


class Rules(_Strict):
    """What one risk class asks for."""

    release: bool
    approvals: int = Field(0, ge=0, le=9, description="different people who must approve")
    four_eyes: bool = Field(False, description="an approver is not the submitter")
    by_itself: ByItself = ByItself(submitted=False, scheduled=False)
    clean: bool = Field(False, description="the run file comes from a commit without changes beside it")
    card: list[str] = Field([], description="texts of the model card that people must have written")


class Risk(_Strict):
    apiVersion: Literal["risk-policy/v1"]
    version: str
    min_chars: int = Field(30, ge=1, description="shortest text that says something")
    classes: dict[RiskClass, Rules]


class Approvers(_Strict):
    apiVersion: Literal["approvers/v1"]
    valid_days: int = Field(7, ge=1, le=30)
    tenants: dict[str, list[str]]


class Policy(_Strict):
    risk: Risk
    approvers: Approvers

    def rules(self, risk_class: RiskClass) -> Rules:
        """The class's rules; those of a class that is not in the file let nothing out."""
        return self.risk.classes.get(risk_class, Rules(release=False))

    @property
    def validity(self) -> timedelta:
        """How long an approval counts."""
        return timedelta(days=self.approvers.valid_days)


class Case(_Strict):
    """What a decision rests on. `promote` is the submitter's own limit; `submitter` None: a schedule started the run."""

    tenant: str
    risk_class: RiskClass
    verdict: Verdict
    promote: Literal["auto", "ask", "never"]
    submitter: Person | None
    dirty: bool


def read_policy(folder: Path | None = None) -> Policy:
    """The policy in a folder, else the installation's: FLEECE_POLICIES, else the project's own.

    Raises BadInput naming the file and every wrong key.
    """
    folder = folder or Path(os.environ.get("FLEECE_POLICIES") or FOLDER)
    return Policy(risk=_parse(folder / "risk.yaml", Risk), approvers=_parse(folder / "approvers.yaml", Approvers))


def route(policy: Policy, case: Case) -> tuple[Route, str]:
    """How a release request goes on, and why, in words."""
    if barred := _barred(policy, case):
        return "none", barred
    rules = policy.rules(case.risk_class)
    if rules.approvals:
        return "ask", f"{case.risk_class} models need {_people(rules.approvals)}{' other than the submitter' if rules.four_eyes else ''}"
    if case.promote == "ask":
        return "ask", "the run was submitted with promote=ask"
    if case.submitter is None and not rules.by_itself.scheduled:
        return "ask", "a schedule started the run, and policy lets no such run out by itself"
    if case.submitter is not None and not rules.by_itself.submitted:
        return "ask", f"policy lets no {case.risk_class} model out by itself"
    return "auto", f"policy lets a {case.risk_class} model out that passed its gate"


def needed(policy: Policy, case: Case) -> int:
    """Approvals that the release needs."""
    return max(policy.rules(case.risk_class).approvals, 0 if route(policy, case)[0] == "auto" else 1)


def objection(policy: Policy, case: Case, approver: Person) -> str:
    """Why this person may not decide on this case; empty when they may."""
    if barred := _barred(policy, case):
        return barred
    if not identity.on_cluster():  # nobody is authenticated, and whoever has the key could write any name
        return "" if approver.how == "cli-local" else f"{approver.sub} comes from a cluster, and this is none"
    if approver.how == "cli-local":
        return f"{approver.sub} was not authenticated by this cluster"
    if approver.sub not in policy.approvers.tenants.get(case.tenant, []):
        return f"{approver.sub} is no approver of tenant {case.tenant}; see approvers.yaml of the policies"
    if policy.rules(case.risk_class).four_eyes and case.submitter and approver.sub == case.submitter.sub:
        return f"four eyes: {approver.sub} submitted the run and may not approve it"
    return ""


def _barred(policy: Policy, case: Case) -> str:
    """Why nobody can let this out; empty when somebody can."""
    rules = policy.rules(case.risk_class)
    if not rules.release:
        return f"policy lets no {case.risk_class} model out; state its risk class in the run file"
    if case.verdict != "promote":
        return f"the gate's verdict is {case.verdict}"
    if case.promote == "never":
        return "the run was submitted with promote=never"
    if rules.clean and case.dirty:
        return f"a {case.risk_class} model needs a committed run file; commit the changes and run again"
    if rules.approvals > 1 and not identity.on_cluster():
        return f"{case.risk_class} models need {_people(rules.approvals)}, and this machine authenticates nobody; release it on a cluster"
    return ""


def _people(count: int) -> str:
    return "the approval of a person" if count == 1 else f"the approvals of {count} people"


M = TypeVar("M", bound=BaseModel)


def _parse(path: Path, kind: type[M]) -> M:
    try:
        content: Any = strict_yaml.load(path.read_bytes(), path.name)
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist; FLEECE_POLICIES names the folder of the policies") from None
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors())
        raise BadInput(f"{path.name} is no policy: {problems}") from None
