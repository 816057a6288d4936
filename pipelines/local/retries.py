"""retryStrategy: a Retry node with one child an attempt. Follows `processNodeRetries` of argo-workflows v4.1.2."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipelines.local import arguments, clock, durations, expressions, humanize, scope, tags
from pipelines.local.caller import Around, Call, NodeError
from pipelines.local.limits import deadline
from pipelines.local.nodes import BAD, Node, Template, fulfilled

if TYPE_CHECKING:
    from pipelines.local.engine import Engine

Strategy = dict[str, Any]

_TRANSIENT = ("context deadline exceeded", "connection refused", "connection reset", "i/o timeout", "TLS handshake timeout")


class Enough(Exception):
    """No further attempt; the message says why."""


def run(engine: "Engine", name: str, call: Call, template: Template, around: Around) -> Node:
    """Bring a retried template one step further: watch the last attempt, or begin a new one."""
    nodes, strategy = engine.nodes, template["retryStrategy"] or {}
    retry = nodes.get(name) or engine.begin(name, "Retry", call, template, around, "Running")
    if around.flag:
        retry["nodeFlag"] = around.flag | {"retried": True}  # Argo lets a retried hook share one flag with its attempts
    if settle(engine, retry, strategy):
        return retry
    tries = nodes.attempts(retry)
    if tries and not fulfilled(tries[-1]):
        attempt(engine, retry, call, template, around, len(tries) - 1)
    elif tries and pause(engine, retry, tries[-1], strategy, len(tries)):
        return retry
    else:
        attempt(engine, retry, call, template, around, len(tries))
    if not settle(engine, retry, strategy) and fulfilled(nodes.attempts(retry)[-1]):
        engine.wake_at(engine.clock.now())  # it ended at once; the next look begins the next attempt
    return retry


def attempt(engine: "Engine", retry: Node, call: Call, template: Template, around: Around, number: int) -> None:
    """Bring one attempt one step further. NodeError when it went wrong in the controller and the policy does not retry that."""
    nodes, strategy, name = engine.nodes, template["retryStrategy"] or {}, f"{retry['name']}({number})"
    before = nodes.attempts(retry)[number - 1] if number else None
    known = engine.globals | values(number, before, engine) | engine.names(name, call)
    inner = Around(around.boundary, (around.flag or {}) | {"retried": True}, around.exit, around.depth)
    failed = ""
    try:
        engine.run(name, call, arguments.substitute({**template, "inputs": template.get("inputs") or {}}, known), inner)
    except NodeError as error:
        failed = str(error)
    except (tags.TagError, expressions.ExpressionError) as error:
        failed = str(error)
        engine.error(name, call, inner, failed)
    if nodes.get(name) is not None:
        nodes.link(retry, name)
    if failed and retry_policy(strategy) not in ("Always", "OnError"):
        nodes.phase(retry, "Error", failed)
        raise NodeError(failed)


def settle(engine: "Engine", retry: Node, strategy: Strategy) -> bool:
    """Give the Retry node its end, if it has come to it. NodeError when the strategy itself is no good."""
    tries = engine.nodes.attempts(retry)
    if fulfilled(retry) or not tries or not fulfilled(tries[-1]):
        return fulfilled(retry)
    last = tries[-1]
    if last["phase"] not in BAD:
        _copy_outputs(retry, last)
        engine.nodes.phase(retry, last["phase"], "")
        return True
    try:
        allow(engine, retry, tries, strategy)
    except Enough as reason:
        _copy_outputs(retry, last)
        engine.nodes.phase(retry, last["phase"], str(reason))
        return True
    except (ValueError, expressions.ExpressionError) as error:
        engine.nodes.phase(retry, "Error", str(error))
        raise NodeError(str(error)) from None
    return False


def _copy_outputs(retry: Node, last: Node) -> None:
    if "outputs" in last:
        retry["outputs"] = last["outputs"]


def allow(engine: "Engine", retry: Node, tries: list[Node], strategy: Strategy) -> None:
    """May there be another attempt? Enough when not."""
    last = tries[-1]
    if engine.shutdown:
        raise Enough(f"Stopped with strategy '{engine.shutdown}'")
    end = deadline(engine)
    if end is not None and engine.clock.now() > end:
        raise Enough(f"retry exceeded workflow deadline {datetime.fromtimestamp(int(end), UTC):%Y-%m-%d %H:%M:%S} +0000 UTC")
    _in_time(engine, tries, strategy)
    if not _matches(retry_policy(strategy), last):
        raise Enough(last.get("message", ""))
    limit = _limit(strategy)
    if limit is not None and len(tries) > limit:
        raise Enough("No more retries left")
    if strategy.get("expression"):
        _judge(strategy["expression"], last, engine, len(tries))


def _limit(strategy: Strategy) -> int | None:
    if strategy.get("limit") is None:
        return None
    try:
        return int(str(strategy["limit"]))
    except ValueError:
        raise ValueError(f"value '{strategy['limit']}' cannot be resolved to an int") from None


def retry_policy(strategy: Strategy) -> str:
    return str(strategy.get("retryPolicy") or ("Always" if strategy.get("expression") else "OnFailure"))


def _matches(policy: str, last: Node) -> bool:
    if policy == "OnTransientError":
        return any(sign in last.get("message", "") for sign in _TRANSIENT)
    wanted = {"Always": BAD, "OnFailure": frozenset({"Failed"}), "OnError": frozenset({"Error"})}
    return last["phase"] in wanted[policy]


def _judge(expression: str, last: Node, engine: "Engine", tries: int) -> None:
    known = {f"lastRetry.{key}": value for key, value in last_retry(last, engine, "-1").items()} | {"retries": str(tries - 1)}
    if not expressions.holds(expression, expressions.expand(known)):
        raise Enough("retryStrategy.expression evaluated to false")


def last_retry(last: Node | None, engine: "Engine", no_code: str) -> dict[str, str]:
    """`lastRetry.*`: all of it text."""
    if last is None:
        return {"exitCode": "0", "status": "", "duration": "0", "message": ""}
    took = clock.seconds(last["finishedAt"]) - clock.seconds(last["startedAt"])
    code = (last.get("outputs") or {}).get("exitCode", no_code)
    return {"exitCode": code, "status": last["phase"], "duration": f"{took:g}", "message": last.get("message", "")}


def values(number: int, before: Node | None, engine: "Engine") -> scope.Values:
    """What an attempt may use: its number and how the one before it ended."""
    return {"retries": str(number), **{f"lastRetry.{k}": v for k, v in last_retry(before, engine, "0").items()}}


def _in_time(engine: "Engine", tries: list[Node], strategy: Strategy) -> None:
    backoff = strategy.get("backoff")
    if not backoff:
        return
    longest = backoff.get("maxDuration")
    if longest:
        end = _begun(engine, tries[0]) + durations.seconds_or_duration(str(longest))
        if engine.clock.now() > end:
            raise Enough("Max duration limit exceeded")
        if _ended(engine, tries[-1]) + wait_seconds(backoff, len(tries)) > end:
            raise Enough("Backoff would exceed max duration limit")
    wait_seconds(backoff, len(tries))


def _begun(engine: "Engine", node: Node) -> float:
    return engine.nodes.exact.get(node["id"], (clock.seconds(node["startedAt"]), 0.0))[0]


def _ended(engine: "Engine", node: Node) -> float:
    return engine.nodes.exact.get(node["id"], (0.0, 0.0))[1] or clock.seconds(node["finishedAt"])


def wait_seconds(backoff: dict[str, Any], tries: int) -> float:
    """duration times factor to the power of (tries - 1), at most cap."""
    if not backoff.get("duration"):
        raise ValueError("no base duration specified for retryStrategy")
    wait = durations.seconds_or_duration(str(backoff["duration"]))
    factor = backoff.get("factor")
    if factor is not None and int(str(factor)) > 0:
        wait *= int(str(factor)) ** (tries - 1)
    cap = backoff.get("cap")
    return min(wait, durations.seconds_or_duration(str(cap))) if cap else wait


def pause(engine: "Engine", retry: Node, last: Node, strategy: Strategy, tries: int) -> bool:
    """Is the pause before the next attempt still running?"""
    if not strategy.get("backoff"):
        return False
    wait = wait_seconds(strategy["backoff"], tries)
    until = _ended(engine, last) + wait
    if engine.clock.now() >= until or strategy.get("limit") is None:  # without a limit Argo does not wait: processNodeRetries
        engine.nodes.phase(retry, retry["phase"], "")
        return False
    engine.nodes.phase(retry, retry["phase"], f"Backoff for {humanize.long(wait)}")
    engine.wake_at(until)
    return True
