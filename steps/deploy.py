"""`deploy`: a verified model becomes a release in git. Nothing runs yet; `rollout` waits for that."""

from datetime import UTC, datetime
from pathlib import Path

from steps import attestations, environments, gitops, rendering, store
from steps import release as releases
from steps.attestations import Attestation
from steps.contracts import DeployIn, DeployOut
from steps.environments import Environment
from steps.faults import BadInput, Bug
from steps.release import Release
from steps.runfile import read_plan
from steps.runtime import main, say, scratch, setting


def deploy(given: DeployIn) -> DeployOut:
    """Commit the release and its manifests; what git holds already, with the same content and digest, is returned as it is."""
    statement = attestations.verified(given.attestation)
    if statement.run != given.run:
        raise BadInput(f"{given.attestation} is about {statement.run}, not {given.run}; give the run's own attestation")
    environment = environments.read(given.environment)
    url = setting("FLEECE_GITOPS")
    if environment.reconciler == "local":
        gitops.make_bare(url, environment.branch)
    copy = gitops.clone(url, environment.branch, scratch())
    draft = _draft(given, statement, environment, datetime.now(UTC))
    folder = releases.folder(draft.environment, draft.tenant, draft.model_id)
    commit = gitops.publish(copy, lambda: _change(copy, folder, draft, given.uid, statement.decision), draft.created)
    release = _committed(copy, folder, commit)
    store.backend(given.run).create(releases.uri(release), releases.to_bytes(release))
    if release.created != draft.created:
        say("deploy", f"git holds this release already: {release.release_id} in {commit[:12]}; nothing was committed")
    return DeployOut(release=releases.uri(release), release_id=release.release_id, commit=commit)


def _draft(given: DeployIn, statement: Attestation, environment: Environment, now: datetime) -> Release:
    """The release but for its id, which depends on what git holds."""
    template = str(read_plan(given.run).training.get("template") or "")
    return Release(
        release_id=releases.new_id(statement.digest, given.uid, ""),
        environment=environment.name,
        reconciler=environment.reconciler,
        tenant=statement.tenant,
        model_id=statement.model_id,
        version=statement.version,
        model=statement.model,
        digest=statement.digest,
        attestation=given.attestation,
        run=given.run,
        serving=environment.serving.model_copy(update={"template": environment.serving.template or template}),
        created=now.replace(microsecond=0),
    )


def _change(copy: gitops.Clone, folder: str, draft: Release, uid: str, decision: str) -> gitops.Change:
    """Write the release into the working copy, on top of whatever git holds now."""
    place = copy.folder / folder
    newest = gitops.last_change(copy, folder)
    there = place / "release.json"
    live = releases.parse(there.read_bytes(), f"{folder}/release.json") if there.is_file() else None
    if live and releases.same_content(live, draft) and _files(live) == _on_disk(place):
        return gitops.Change(None, newest)
    release = draft.model_copy(update={"release_id": releases.new_id(draft.digest, uid, newest)})
    for path in _on_disk(place):
        (place / path).unlink()
    for path, content in _files(release).items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    return gitops.Change(_message(release, uid, decision))


def _files(release: Release) -> dict[str, bytes]:
    """Everything the release's folder holds."""
    rendered = rendering.manifests(release) if release.reconciler != "local" else {}
    return {"release.json": releases.to_bytes(release)} | {f"manifests/{name}": content for name, content in rendered.items()}


def _on_disk(place: Path) -> dict[str, bytes]:
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def _message(release: Release, uid: str, decision: str) -> str:
    return (
        f"Release {release.model_id}:{release.version} to {release.environment}\n\n"
        f"Release: {release.release_id}\nModel: {release.model_id}:{release.version}\nDigest: {release.digest}\n"
        f"Verdict: {decision}\nAttestation: {release.attestation}\nWorkflow: {uid}\n"
    )


def _committed(copy: gitops.Clone, folder: str, commit: str) -> Release:
    content = gitops.read(copy, commit, f"{folder}/release.json")
    if content is None:
        raise Bug(f"{commit} holds no {folder}/release.json right after it was pushed")
    return releases.parse(content, f"{folder}/release.json")


if __name__ == "__main__":
    main("deploy", deploy)
