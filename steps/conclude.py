"""`conclude`: finetune's last word. A failed release fails the run; a waiting one says how to go on."""

from steps import policy, release_request, store
from steps.contracts import ConcludeIn, ConcludeOut
from steps.faults import Bug
from steps.identity import on_cluster
from steps.release_request import ReleaseRequest
from steps.runtime import main, say


def conclude(given: ConcludeIn) -> ConcludeOut:
    """Raises Bug when the release did not end well: what it met is its own Workflow's to say."""
    uri, asked = _newest(given.run)
    if given.route == "auto":
        if given.phase != "Succeeded":
            raise Bug(f"the release of {asked.model_id}:{asked.version} ended as {given.phase}; Workflow {_release(asked)} says why")
        return ConcludeOut(outcome="released")
    if given.route == "ask":
        say("conclude", f"{asked.model_id}:{asked.version} waits for approval. {_how_to_approve(uri, asked)}")
        return ConcludeOut(outcome="waiting for approval")
    say("conclude", f"{asked.model_id}:{asked.version} is not released: {policy.route(policy.read_policy(), asked.case())[1]}")
    return ConcludeOut(outcome="not released")


def _newest(run: str) -> tuple[str, ReleaseRequest]:
    """The run's last request: a run that was submitted again has one for each time."""
    folder = store.join(run, "request")
    uris = [store.join(folder, name) for name in store.backend(folder).names(folder) if name.endswith("/request.json")]
    if not uris:
        raise Bug(f"{run} holds no release request; `request` runs before `conclude`")
    return max(((uri, release_request.read(uri).request) for uri in uris), key=lambda found: found[1].created)


def _release(asked: ReleaseRequest) -> str:
    """The name finetune gives the release Workflow (DESIGN §9)."""
    return f"release-{asked.uid}"


def _how_to_approve(uri: str, asked: ReleaseRequest) -> str:
    parameters = f"-p request={uri} -p digest={asked.digest} -p decision=approve -p reason='…'"
    if on_cluster():
        return f"Approve: argo submit -n {asked.tenant}-release --from workflowtemplate/approve {parameters}"
    return f"Approve: fleece run approve {parameters}"


if __name__ == "__main__":
    main("conclude", conclude)
