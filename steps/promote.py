"""`promote`: the attested version becomes the one in production."""

from steps import attestations, audit, registry
from steps.contracts import PromoteIn, PromoteOut
from steps.faults import NotAllowed
from steps.runtime import main


def promote(given: PromoteIn) -> PromoteOut:
    """Raises NotAllowed when the attestation is not of this run, the registry's version is another model, or the champion has changed."""
    word = attestations.verified(given.attestation)
    if word.run != given.run:
        raise NotAllowed(f"{given.attestation} is about {word.run}, not {given.run}; give the run's own attestation")
    before = registry.production(word.model_id)
    if before is None or (before.version, before.digest) != (word.version, word.digest):
        registered = registry.version(word.model_id, word.version)
        if (registered.digest, registered.model) != (word.digest, word.model):
            raise NotAllowed(f"{word.model_id}:{word.version} is {registered.digest} in the registry, but {word.digest} was verified")
        subject = f"{word.model_id}:{word.version}"
        audit.append(audit.event("promotion.requested", subject, None, {"before": before.version if before else 0, "digest": word.digest}))
        before = registry.promote(word.model_id, word.version, beaten=word.champion)
        audit.append(audit.event("promotion.completed", subject, None, {"before": before.previous, "digest": word.digest}))
    return PromoteOut(model_id=word.model_id, version=before.version, previous=before.previous)


if __name__ == "__main__":
    main("promote", promote)
