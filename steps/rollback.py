"""`rollback`: the version before this one, in the registry and in git. `rollout` and `probe` then make it live."""

from datetime import UTC, datetime

from steps import attestations, environments, gitops, identity, registry, store
from steps import release as releases
from steps.contracts import RollbackIn, RollbackOut
from steps.faults import BadData, BadInput, NotAllowed
from steps.registry import Version
from steps.release import Release
from steps.runtime import main, say, scratch, setting


def rollback(given: RollbackIn) -> RollbackOut:
    """Restore the previous version's release as a new commit, then move the alias: run again after a kill, it ends what it began."""
    releases.owned(given.model_id, setting("FLEECE_TENANT"))
    environment = environments.read(given.environment)
    target = registry.version(given.model_id, _target(given))
    copy = gitops.clone(setting("FLEECE_GITOPS"), environment.branch, scratch())
    folder = releases.folder(environment.name, setting("FLEECE_TENANT"), given.model_id)
    source, release = _earlier(copy, folder, target)
    if attestations.verified(release.attestation).digest != target.digest:
        raise NotAllowed(f"{release.attestation} lets out other bytes than {target.model_id}:{target.number}; nothing was rolled back")
    commit = gitops.publish(copy, lambda: _change(copy, folder, source, release, given), datetime.now(UTC))
    store.backend(release.run).create(releases.uri(release), releases.to_bytes(release))
    registry.promote(given.model_id, target.number)
    say("rollback", f"{given.model_id}:{target.number} is Production again, and git asks {environment.name} for it ({commit[:12]})")
    return RollbackOut(run=release.run, release=releases.uri(release), version=target.number, commit=commit)


def _target(given: RollbackIn) -> int:
    """The version to go back to: decided once for each Workflow, because the alias `previous` means another one afterwards."""
    record = store.join(setting("FLEECE_STORE"), "rollbacks", given.model_id, f"{given.uid}.json")
    if given.uid != "by-hand" and store.exists(record):
        return int(store.read_json(record)["to"])
    pointer = registry.reconcile(given.model_id)
    if pointer is None or not pointer.previous:
        raise BadInput(f"{given.model_id} has no version before the one in production; there is nothing to go back to")
    if given.uid == "by-hand":
        return pointer.previous
    person = identity.of(given.labels)
    decided = {"from": pointer.version, "to": pointer.previous, "environment": given.environment, "reason": given.reason}
    store.create_json(record, decided | {"by": person.sub if person else "a schedule"})
    return int(store.read_json(record)["to"])


def _earlier(copy: gitops.Clone, folder: str, target: Version) -> tuple[str, Release]:
    """The newest release of the version that git remembers, and the commit that holds it."""
    path = f"{folder}/release.json"
    for commit in gitops.history(copy, folder):
        content = gitops.read(copy, commit, path)
        try:
            release = releases.parse(content, path) if content else None
        except BadData:
            continue  # written by hand, or by an older Fleece
        if release and (release.version, release.digest) == (target.number, target.digest):
            return commit, release
    raise BadInput(f"git has no release of {target.model_id}:{target.number} in {folder}; deploy that version instead")


def _change(copy: gitops.Clone, folder: str, source: str, release: Release, given: RollbackIn) -> gitops.Change:
    there = copy.folder / folder / "release.json"
    if there.is_file() and there.read_bytes() == releases.to_bytes(release):
        return gitops.Change(None, gitops.last_change(copy, folder))
    gitops.restore(copy, folder, source)
    return gitops.Change(
        f"Roll back {release.model_id} in {given.environment} to {release.version}\n\n{given.reason}\n\n"
        f"Release: {release.release_id}\nModel: {release.model_id}:{release.version}\nDigest: {release.digest}\nWorkflow: {given.uid}\n"
    )


if __name__ == "__main__":
    main("rollback", rollback)
