"""Who asked: the creator label of a Workflow. On a cluster an admission policy pins it to the caller; a schedule's run has none."""

import json
import os
from typing import Literal

from pydantic import BaseModel, ConfigDict

from steps.faults import BadInput

_CREATOR = "workflows.argoproj.io/creator"
_EMAIL = "workflows.argoproj.io/creator-email"


class Person(BaseModel):
    """A caller as Argo names it in labels. `cli-local`: nobody was authenticated, it is whoever sits at this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    sub: str
    email: str = ""
    how: Literal["sso", "service-account", "cli-local"]


def of(labels: str) -> Person | None:
    """The person behind a Workflow's labels (JSON), None when a schedule started it. Raises BadInput when they are no labels."""
    if not labels:
        return None
    try:
        found = json.loads(labels)
    except ValueError as error:
        raise BadInput(f"labels are no JSON ({error}); give the Workflow's labels as one JSON object") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise BadInput("labels are no JSON object of texts; give the Workflow's labels")
    creator = found.get(_CREATOR, "")
    if not creator:
        return None
    return Person(sub=creator, email=found.get(_EMAIL, "").replace(".at.", "@"), how=_how(creator))


def on_cluster() -> bool:
    """Whether this is a pod. The kubelet sets this in every one, so no label and no parameter can make a cluster pass for a laptop."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def _how(creator: str) -> Literal["sso", "service-account", "cli-local"]:
    if not on_cluster():
        return "cli-local"
    return "service-account" if creator.startswith("system-serviceaccount-") else "sso"
