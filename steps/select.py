"""`select`: a registered version by number, or the one in production, with the records that let it out."""

from steps import attestations, registry, release_request, store
from steps import release as releases
from steps.contracts import SelectIn, SelectOut
from steps.faults import BadInput
from steps.registry import Version
from steps.runtime import main, setting


def select(given: SelectIn) -> SelectOut:
    """Where a version came from. Raises BadInput when there is no such version, or nobody asked to let it out."""
    releases.owned(given.model_id, setting("FLEECE_TENANT"))
    version = registry.version(given.model_id, given.version or _in_production(given.model_id))
    attestation = attestations.place(version.run, version.digest)
    if store.exists(attestation):
        return SelectOut(run=version.run, request=attestations.verified(attestation).request, attestation=attestation)
    return SelectOut(run=version.run, request=_newest_request(version), attestation="none")


def _in_production(model_id: str) -> int:
    pointer = registry.production(model_id)
    if pointer is None:
        raise BadInput(f"no version of {model_id} is in production; name one with -p version=…")
    return pointer.version


def _newest_request(version: Version) -> str:
    """A run may have asked more than once: by itself first, then with other limits."""
    folder = store.join(version.run, "request")
    uris = [store.join(folder, name) for name in store.backend(folder).names(folder) if name.endswith("/request.json")]
    asked = [(release_request.read(uri).request, uri) for uri in uris]
    mine = [(request.created, uri) for request, uri in asked if (request.version, request.digest) == (version.number, version.digest)]
    if not mine:
        raise BadInput(f"nobody asked to let out {version.model_id}:{version.number}; its run ended before `request`. Run it again")
    return max(mine)[1]


if __name__ == "__main__":
    main("select", select)
