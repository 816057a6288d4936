"""Whether a step runs: `when`, after substitution, evaluated as govaluate does with its variables turned into strings.

argo-workflows v4.1.2 `workflow/controller/steps.go` shouldExecute.
"""


class WhenError(Exception):
    """The expression cannot be read, or gives no boolean; the message is Argo's."""


def holds(text: str) -> bool:
    """Whether a `when` is true; an empty one is. Raises WhenError."""
    return text == "" or _evaluated(text)


def _evaluated(text: str) -> bool:
    from pipelines.local import golang
    from pipelines.local.govaluate import EvaluationError, compiled, tokens
    from pipelines.local.stages import evaluate, plan

    step = "Invalid 'when' expression"
    try:
        found = tokens(text)
        step = "Failed to parse 'when' expression"
        for token in found:
            token.kind = "STRING" if token.kind == "VARIABLE" else token.kind
        compiled(found)
        step = "Failed to evaluate 'when' expresion"
        result = evaluate(plan(found))
    except EvaluationError as error:
        quotes = step.startswith("Invalid") and "Invalid token" in str(error)
        hint = ' (hint: try wrapping the affected expression in quotes ("))' if quotes else ""
        raise WhenError(f"{step} '{text}': {error}{hint}") from None
    except (RecursionError, OverflowError) as error:
        raise WhenError(f"{step} '{text}': {type(error).__name__}") from None
    if not isinstance(result, bool):
        raise WhenError(f"Expected boolean evaluation for '{text}'. Got {golang.sprint(result)}")
    return result
