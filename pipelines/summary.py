"""What became of a run, for a person and as JSON: read from the Workflow objects and from the records that its steps left in the store."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.local import show
from steps import store

Facts = dict[str, Any]
_ATTEMPT = re.compile(r"\(\d+\)$")  # of a step with a retryStrategy


def of(home: Path, workflow: dict[str, Any], approval: dict[str, Any] | None = None) -> Facts:
    """The facts of a finished run, with its release or the approval that followed it. A step that did not run leaves its part out."""
    workflows = [workflow, *_children(home, workflow), *([approval] if approval else [])]
    nodes = [node for one in workflows for node in _in_order(one)]
    results = {_key(node): record for node in nodes if (record := _record(node))}
    facts: Facts = {
        "run": workflow["metadata"]["name"],
        "phase": (approval or workflow)["status"]["phase"],
        "seconds": _seconds(workflow["status"]),
        "steps": [_step(node) for node in nodes if node["type"] == "Pod"],
        "failed": [_failure(home, one, node) for one in workflows for node in show.failed(one)],
        "workflows": [str(home / "runs" / one["metadata"]["name"] / "workflow.json") for one in workflows],
    }
    parts = {"plan": _plan, "data": _data, "training": _training, "gate": _gate, "model": _model, "release": _release}
    return facts | {name: found for name, part in parts.items() if (found := part(results))}


def text(facts: Facts, seen: str = "") -> str:
    """The summary as a person reads it, top to bottom like the pipeline; `seen`: the run whose failures were shown already."""
    lines = [f"{facts['run']}: {facts['phase']} in {facts['seconds']:.0f} s"]
    paragraphs = _paragraphs(facts)
    lines += [""] if paragraphs else []
    for title, words in paragraphs:
        lines += [f"  {title:<10} {words[0]}", *(f"  {'':<10} {word}" for word in words[1:])]
    reused = [step["name"] for step in facts["steps"] if step["reused"]]
    if reused:
        lines += ["", f"  Reused, since the same inputs gave these results before: {', '.join(reused)}"]
    for failed in [one for one in facts["failed"] if one["run"] != seen]:
        lines += ["", f"  {failed['name']} {failed['phase'].lower()}: {failed['message']}", *(f"    {line}" for line in failed["log"])]
    return "\n".join(lines)


def _paragraphs(facts: Facts) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    if plan := facts.get("plan"):
        found.append(("plan", [plan["reason"]]))
    if data := facts.get("data"):
        counts = f"{data['train_rows']} to train on, {data['val_rows']} to watch, {data['test_rows']} held out"
        found.append(("data", [f"{data['rows']} rows accepted, {data['warnings']} warnings; {counts}", f"report {data['report']}"]))
    if training := facts.get("training"):
        curve = training["curve"]
        ends = f"loss {curve[0]:.3f} → {curve[-1]:.3f}" if curve else f"loss {training['loss']:.3f}"
        found.append(("training", [f"{_sparkline(curve)}  {ends}, {training['steps']} steps in {training['seconds']:.0f} s"]))
    if gate := facts.get("gate"):
        found += [("score", score)] if (score := _score(gate)) else []
        found.append(("gate", [gate["verdict"], *(one["words"] for one in gate["findings"]), f"report {gate['report']}"]))
    if model := facts.get("model"):
        found.append(("model", [f"{model['model_id']}:{model['version']} {model['status']}", model["digest"], f"card {model['card']}"]))
    if release := facts.get("release"):
        found.append(("release", release["words"]))
    took = [f"{step['seconds']:>4.0f} s  {step['name']}" + ("  (reused)" if step["reused"] else "") for step in facts["steps"]]
    return [*found, ("steps", took)] if found else []


def _plan(results: dict[str, Facts]) -> Facts | None:
    return {"reason": results["plan"]["reason"], "run": results["plan"]["run"]} if "plan" in results else None


def _data(results: dict[str, Facts]) -> Facts | None:
    if "validate" not in results or "prepare" not in results:
        return None
    checked, split = results["validate"], results["prepare"]
    counts = {name: split[name] for name in ("train_rows", "val_rows", "test_rows")}
    report = _place(store.join(checked["dataset"], "report.html"))
    return {"rows": checked["rows"], "warnings": checked["warnings"], "data_id": checked["data_id"], "report": report, **counts}


def _training(results: dict[str, Facts]) -> Facts | None:
    if "collect" not in results:
        return None
    done = results["collect"]
    where = store.join(done["trained"].rpartition("/")[0], "train", "curve.json")
    curve = [point["loss"] for point in store.read_json(where) if "loss" in point] if store.exists(where) else []
    return {"steps": done["steps"], "loss": done["loss"], "seconds": done["seconds"], "curve": curve}


def _gate(results: dict[str, Facts]) -> Facts | None:
    if "gate" not in results:
        return None
    decision = results["gate"]
    record = store.read_json(store.join(decision["decision"], "gate.json"))
    report = _place(store.join(decision["decision"], "report.html"))
    return {"verdict": decision["verdict"], "reason": decision["reason"], "findings": record["findings"], "report": report}


def _model(results: dict[str, Facts]) -> Facts | None:
    if "register" not in results:
        return None
    registered, merged = results["register"], results["merge"]
    plan = results["plan"]
    return {
        "model_id": plan["model_id"],
        "version": registered["version"],
        "status": registered["status"],
        "digest": merged["digest"],
        "uri": merged["model"],
        "card": _place(store.join(results["document"]["card"], "README.md")),
    }


def _release(results: dict[str, Facts]) -> Facts | None:
    if "rollout" in results and "probe" in results:
        live, probe = results["rollout"], results["probe"]
        asked = store.read_json(store.join(probe["result"].rpartition("/")[0], "probe.json")) if probe["state"] == "answers" else {}
        commit = results.get("deploy", results.get("rollback", {})).get("commit", "")
        words = [f"{live['state']} at {live['endpoint']}", f"commit {commit}"]
        words += [f"asked    {asked['prompt']!r}", f"answered {asked['answer']!r} in {probe['milliseconds']} ms"] if asked else []
        return {"state": live["state"], "endpoint": live["endpoint"], "commit": commit, "probe": asked, "words": words}
    if "request" in results:
        request = results["request"]
        return {
            "state": request["route"],
            "request": request["request"],
            "words": [f"{request['route']}: {request['reason']}", f"request {request['request']}"],
        }
    return None


def _children(home: Path, workflow: dict[str, Any]) -> list[dict[str, Any]]:
    child = home / "runs" / f"release-{workflow['metadata']['uid']}" / "workflow.json"
    return [json.loads(child.read_text())] if child.is_file() else []


def _in_order(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(workflow["status"].get("nodes", {}).values(), key=lambda node: node.get("startedAt") or "~")


def _key(node: dict[str, Any]) -> str:
    """A step is known by its template; the three evaluations by their task."""
    return _ATTEMPT.sub("", str(node["displayName"])) if node.get("templateName") == "evaluate" else str(node.get("templateName", ""))


def _record(node: dict[str, Any]) -> Facts | None:
    """The outputs that a step recorded in its result.json, with that file's own place."""
    where = _outputs(node).get("result", "none")
    if node.get("phase") != "Succeeded" or where == "none" or not where.endswith("/result.json"):
        return None
    outputs: Facts = store.read_json(where)["outputs"]
    return outputs


def _outputs(node: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in node.get("outputs", {}).get("parameters", [])}


def _step(node: dict[str, Any]) -> Facts:
    name = _ATTEMPT.sub("", str(node["displayName"]))
    return {"name": name, "phase": node["phase"], "seconds": _seconds(node), "reused": _outputs(node).get("reused") == "yes"}


def _failure(home: Path, workflow: dict[str, Any], node: dict[str, Any]) -> Facts:
    log = home / "runs" / workflow["metadata"]["name"] / "nodes" / node["id"] / "main.log"
    lines = log.read_text(errors="replace").splitlines()[-5:] if log.is_file() else []
    failed = {"run": workflow["metadata"]["name"], "name": node["displayName"], "phase": node["phase"]}
    return failed | {"message": node.get("message", ""), "log": lines}


def _score(facts: Facts) -> list[str]:
    """`exact_match base 0.000 → tuned 1.000, gain +1.000 [0.971, 1.000]`, of the first rule that compared with the base model."""
    for one in facts["findings"]:
        if one["against"] == "anchor" and one["estimate"] is not None:
            scores = f"{one['metric']}  base {one['reference']:.3f} → tuned {one['candidate']:.3f}"
            return [f"{scores}, difference {one['estimate']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}], {one['n']} items"]
    return []


def _sparkline(values: list[float], width: int = 24) -> str:
    """The curve in one line of block characters, the mean of each stretch."""
    if not values:
        return ""
    stretches = [
        values[len(values) * i // width : max(len(values) * (i + 1) // width, len(values) * i // width + 1)]
        for i in range(min(width, len(values)))
    ]
    means = [sum(stretch) / len(stretch) for stretch in stretches]
    low, high = min(means), max(means)
    return "".join("▁▂▃▄▅▆▇█"[round(7 * (mean - low) / (high - low))] if high > low else "▁" for mean in means)


def _place(uri: str) -> str:
    """A local file as a path that a terminal can open; anything else as it is."""
    return uri.removeprefix("file://")


def _seconds(timed: dict[str, Any]) -> float:
    began, ended = timed.get("startedAt"), timed.get("finishedAt")
    if not began or not ended:
        return 0.0
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
