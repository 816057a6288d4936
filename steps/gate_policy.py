"""The gate's policy: what a model must show before it may be promoted (`gate/v1`, YAML, strict).

`champion` is the model in production; `anchor` is the pinned reference, the run's base model. Comparing with both stops the ratchet: a
chain of models each "no worse than the last" can sink far below where it began. Lines and gains are in the metric's own unit.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from steps.faults import BadInput

Reference = Literal["champion", "anchor"]
_Id = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$")]
# Lengths stand beside their patterns: a repeat of a Unicode class with an upper bound takes pydantic's engine 0.1 s to compile.
_Task = Annotated[str, Field(pattern=r"^[A-Za-z0-9][-\w.]*$", max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Validity(_Strict):
    """What makes a comparison worth reading. Same harness, backend, template and items are asked for always."""

    min_n: int = Field(100, ge=2, description="fewest items a rule may judge by")
    forbid_limit: bool = Field(True, description="refuse evaluations of a part of the items")
    max_unscored: float = Field(0.0, ge=0, lt=1, description="share of items that may lack the rule's metric")
    max_truncated: float = Field(0.0, ge=0, lt=1, description="share of prompts that may be cut to fit the model")


class _Rule(_Strict):
    id: _Id
    task: _Task = Field(description="team_test, or a public lm-eval task or group")
    metric: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="a per-item metric, or output_chars")
    filter: str = Field("none", pattern=r"^[-\w]+$", max_length=40, description="lm-eval's answer filter")
    direction: Literal["up", "down"] = Field("up", description="up: more is better")


class _Comparison(_Rule):
    vs: list[Reference] = Field([], description="champion, anchor or both; empty: the policy's compare_to")
    cluster: str | None = Field(
        None, pattern=r"^[A-Za-z_]\w*$", max_length=61, description="column whose equal values belong together; `task`: the subtask"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_reference_is_a_list(cls, content: Any) -> Any:
        if isinstance(content, dict) and isinstance(content.get("vs"), str):
            return {**content, "vs": [content["vs"]]}
        return content


class Superiority(_Comparison):
    """Better than the reference by more than `min_gain`."""

    test: Literal["superiority"]
    min_gain: float = Field(0.0, ge=0)


class NonInferiority(_Comparison):
    """Worse than the reference by less than `margin`."""

    test: Literal["non_inferiority"]
    margin: float = Field(gt=0)


class Ratio(_Comparison):
    """Mean over the reference's mean: at most `max` (direction down) or at least `min` (direction up)."""

    test: Literal["ratio"]
    max: float | None = Field(None, gt=0)
    min: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _has_the_line_of_its_direction(self) -> "Ratio":
        if (self.max is None) == (self.min is None) or (self.max is None) == (self.direction == "down"):
            raise ValueError("a ratio needs `max` with direction down, or `min` with direction up, and only that")
        return self


class Bound(_Strict):
    min: float | None = None
    max: float | None = None
    by: Literal["interval", "point"] = Field("interval", description="what must keep the bound: the whole interval, or the mean alone")


class Absolute(_Rule):
    """The candidate's own mean keeps a bound."""

    test: Literal["absolute"]
    bound: Bound

    @model_validator(mode="after")
    def _has_the_bound_of_its_direction(self) -> "Absolute":
        wanted, other = (self.bound.min, self.bound.max) if self.direction == "up" else (self.bound.max, self.bound.min)
        if wanted is None or other is not None:
            raise ValueError("a bound needs `min` with direction up, or `max` with direction down, and only that")
        return self


Comparison = Superiority | NonInferiority | Ratio
Rule = Annotated[Superiority | NonInferiority | Ratio | Absolute, Field(discriminator="test")]


class Policy(_Strict):
    apiVersion: Literal["gate/v1"]  # Kubernetes' spelling
    alpha: float = Field(0.05, gt=0, le=0.2, description="error of each one-sided test; all rules must pass, so it holds for the verdict")
    power_target: float = Field(0.9, ge=0.5, lt=1, description="power of the advice how many items would decide")
    compare_to: list[Reference] = Field(["champion", "anchor"], min_length=1, description="what rules without `vs` compare with")
    validity: Validity = Validity()
    rules: list[Rule] = Field(min_length=1)

    @model_validator(mode="after")
    def _rules_fit_together(self) -> "Policy":
        ids = [rule.id for rule in self.rules]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"rule id {twice[0]!r} is used twice")
        for task in {rule.task for rule in self.rules}:
            if len(columns := {column for rule in self.rules if rule.task == task and (column := _cluster(rule))}) > 1:
                raise ValueError(f"rules of task {task} name several clusters ({', '.join(sorted(columns))}); a task has one")
        return self

    def clusters(self) -> dict[str, str]:
        """The column that groups the items of each task, where a rule names one."""
        return {rule.task: column for rule in self.rules if (column := _cluster(rule))}


def parse_policy(content: Any, where: str) -> Policy:
    """Raises BadInput naming every wrong key."""
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{_place(problem['loc'])}: {_words(problem['msg'])}" for problem in error.errors())
        raise BadInput(f"{where} is no gate policy: {problems}. See configs/demo/gate.yaml") from None


def _cluster(rule: Rule) -> str | None:
    return None if isinstance(rule, Absolute) else rule.cluster


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc)) or "the file"


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")
