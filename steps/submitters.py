"""Who submitted a run, by the word of the cluster: its Workflow's creator label, which an admission policy pins to the caller.

A release request lies where the tenant writes, so what it says of its submitter is a claim. The Workflow is the proof: it has the name and
the uid that the request names, its own `request` step wrote this very request (the controller keeps its outputs), and nobody else writes
either. https://argo-workflows.readthedocs.io/en/latest/workflow-creator/
"""

import json
from typing import Any

from steps import identity
from steps.faults import NotAllowed, Unavailable
from steps.release_request import ReleaseRequest

Workflow = dict[str, Any]
_SECONDS = 30  # for the API server to answer; then the step is tried again


def check(where: str, asked: ReleaseRequest) -> None:
    """Raises NotAllowed unless the run's Workflow bears out the request at `where`, Unavailable when the API does not answer.

    On one machine nobody is authenticated and there is no such Workflow; the request's word stands, and policy knows.
    """
    if identity.on_cluster() and (reason := objection(where, asked, _workflow(asked.tenant, asked.workflow))):
        raise NotAllowed(f"{reason}; submit the run again")


def objection(where: str, asked: ReleaseRequest, workflow: Workflow | None) -> str:
    """Why a Workflow does not bear out a request; empty when it does. A Workflow without creator label was started by a schedule."""
    name = f"{asked.tenant}/{asked.workflow}"
    if workflow is None or workflow["metadata"].get("uid") != asked.uid:
        return f"the Workflow {name} of this request is gone, so nobody can see who submitted it"
    submitter = identity.of(json.dumps(workflow["metadata"].get("labels", {})))
    if submitter != asked.submitter:
        said, true = (one.sub if one else "a schedule" for one in (asked.submitter, submitter))
        return f"the request says that {said} submitted it, but {true} submitted {name}"
    if where not in _requests(workflow):
        return f"{name} did not write {where}"
    return ""


def _requests(workflow: Workflow) -> set[str | None]:
    """The requests that the Workflow's own `request` steps gave out."""
    nodes = workflow.get("status", {}).get("nodes", {}).values()
    finished = [node for node in nodes if node.get("templateName") == "request" and node.get("phase") == "Succeeded"]
    given = [one for node in finished for one in node.get("outputs", {}).get("parameters", [])]
    return {one.get("value") for one in given if one["name"] == "request"}


def _workflow(namespace: str, name: str) -> Workflow | None:
    """By the Kubernetes API as the pod's own account; None when there is none of that name."""
    from kubernetes import client, config
    from urllib3.exceptions import HTTPError

    configuration = client.Configuration()
    config.load_incluster_config(configuration)
    try:
        with client.ApiClient(configuration) as api:
            place = ("argoproj.io", "v1alpha1", namespace, "workflows", name)
            found: Workflow = client.CustomObjectsApi(api).get_namespaced_custom_object(*place, _request_timeout=_SECONDS)
    except client.ApiException as error:
        if error.status == 404:
            return None
        if error.status in (401, 403):
            raise NotAllowed(f"this account may not read the Workflows of {namespace}; a release serves its own tenant only") from None
        raise Unavailable(f"the Kubernetes API answered {error.status} for the Workflow {namespace}/{name}; try again") from None
    except HTTPError as error:
        raise Unavailable(f"the Kubernetes API does not answer ({type(error).__name__}); try again") from None
    return found
