"""From flags to a step and from a step to files: the one place that parses, remembers, reports and chooses the exit code.

`python -m steps.gate --candidate=… --out-verdict=/path` is how a container and a person run a step. The result is written to
`<run>/<step>/<digest of the inputs>/result.json` before the output files; the same inputs then give the same outputs without work.
"""

import argparse
import atexit
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from steps import audit, store
from steps.contracts import STEPS, In, Out, inert
from steps.faults import BadInput, Bug, Fault

Takes = TypeVar("Takes", bound=In)
Gives = TypeVar("Gives", bound=Out)

_PASSED_BY_FILE = re.compile(r"@/tmp/argo_arg_\d+\.txt")


def main(verb: str, step: Callable[[Takes], Gives], argv: Sequence[str] | None = None) -> NoReturn:
    """Run a step as a program: exit 0 with every output written, or one line on stderr and the fault's code."""
    try:
        code = _run(verb, step, sys.argv[1:] if argv is None else argv)
    except Fault as fault:
        say(verb, str(fault))
        code = fault.code
    except Exception as error:  # a bug: where it happened, never its text, which may hold training data
        frames = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
        say(verb, f"{type(error).__name__} in Fleece itself. Report it with the lines above.", before=frames)
        code = Bug.code
    sys.stdout.flush()
    sys.exit(code)


def say(verb: str, line: str, *, before: str = "") -> None:
    """A line for a person, on stderr, whole even when several processes write."""
    sys.stderr.write(f"{before}{verb}: {' '.join(line.split())}\n")
    sys.stderr.flush()


def scratch() -> Path:
    """A folder of this process's own for downloads and work, removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="fleece-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def setting(name: str) -> str:
    """A setting of the installation (ConfigMap `fleece`), by environment. Raises BadInput when it is not set."""
    value = os.environ.get(name, "")
    if not value:
        raise BadInput(f"{name} is not set; it comes from the ConfigMap `fleece` of the namespace, or from `fleece run`")
    return value


def parse(verb: str, argv: Sequence[str]) -> tuple[In, dict[str, Path]]:
    """Flags to a contract, and where the outputs go. Raises BadInput with the flag, what is wrong and what it may be."""
    takes, gives = STEPS[verb]
    parser = _Parser(prog=f"python -m steps.{verb}", description=takes.__doc__ if takes.__doc__ != In.__doc__ else None)
    for name, field in takes.model_fields.items():
        parser.add_argument(f"--{flag(name)}", dest=name, help=_help(field), metavar=name.upper(), default=argparse.SUPPRESS)
    for name, field in gives.model_fields.items():
        parser.add_argument(f"--out-{flag(name)}", type=Path, help=f"file for: {field.description}", metavar="FILE")
    flags = vars(parser.parse_args([_from_file(argument) for argument in argv]))
    outputs = {name: path for name in gives.model_fields if (path := flags.pop(f"out_{name}"))}
    try:
        return takes.model_validate(flags), outputs
    except ValidationError as error:
        raise BadInput(_explain(error)) from None


def inputs_digest(given: In) -> str:
    """Digest of what a step is to do: its inputs without the fields that only say who asked or when."""
    passing = {name for name, field in type(given).model_fields.items() if given.remembers and _extra(field).get("passing")}
    text = json.dumps(given.model_dump(mode="json", exclude=passing), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def place(verb: str, given: In) -> str | None:
    """The folder of a step's record: below its run, or None for a step that has none yet (plan, select)."""
    run = getattr(given, "run", None) or str(getattr(given, "request", "")).rpartition("/request/")[0]
    return store.join(run, verb, inputs_digest(given)[:16]) if run else None


def flag(name: str) -> str:
    return name.replace("_", "-")


def _run(verb: str, step: Callable[[Takes], Gives], argv: Sequence[str]) -> int:
    given, outputs = parse(verb, argv)
    print(f"{verb}: started", flush=True)  # a log that has this and no more is of work that goes on; without it, of an image or an import
    gives = STEPS[verb][1]
    recorded = _recorded(verb, given)
    if recorded is None:
        _hand_over(verb, argv)
        began = time.monotonic()
        out = step(cast(Takes, given))  # STEPS pairs the verb with its contract
        recorded = _record(verb, given, out, time.monotonic() - began)
    elif given.remembers:
        say(verb, f"the same inputs gave this result before, at {recorded['at']}; nothing was done again")
    _write(gives.model_validate(recorded["outputs"]), outputs)
    return 0


def _hand_over(verb: str, argv: Sequence[str]) -> None:
    """Where the environment offers a python that has loaded the heavy libraries already (FLEECE_WORK), become that one for the work.

    A recorded result is found before, so it waits for nobody's imports.
    """
    python = os.environ.get("FLEECE_WORK", "here")
    if python != "here":
        os.environ["FLEECE_WORK"] = "here"
        os.execv(python, [python, "-m", f"steps.{verb}", *argv])  # noqa: S606


def _recorded(verb: str, given: In) -> dict[str, Any] | None:
    where = place(verb, given)
    if not given.remembers or where is None or not store.exists(result := store.join(where, "result.json")):
        return None
    recorded: dict[str, Any] = store.read_json(result)
    recorded["outputs"]["reused"] = "yes"
    return recorded


def _record(verb: str, given: In, out: Out, seconds: float) -> dict[str, Any]:
    """Write result.json last. Of two that did the same work at the same time the first one's result counts for both."""
    where = place(verb, given) or (store.join(out.run, verb, inputs_digest(given)[:16]) if hasattr(out, "run") else None)
    if where is None:  # work for no run (reap): the outputs say it all
        return {"outputs": out.model_dump(mode="json")}
    result = store.join(where, "result.json")
    out = out.model_copy(update={"result": result})
    record = {
        "step": verb,
        "inputs": given.model_dump(mode="json"),
        "inputs_digest": f"sha256:{inputs_digest(given)}",
        "outputs": out.model_dump(mode="json"),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
    }
    if not given.remembers:
        store.replace_json(result, record)
    elif not store.create_json(result, record):
        record = store.read_json(result)
    audit.append(audit.of_step(verb, given.model_dump(mode="json"), out.model_dump(mode="json")))
    return record


def _write(out: Out, outputs: dict[str, Path]) -> None:
    for name, path in outputs.items():
        value = getattr(out, name)
        try:
            text = inert(value if isinstance(value, str) else json.dumps(value))
        except ValueError as error:
            raise Bug(f"output {name} {error}") from None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class _Parser(argparse.ArgumentParser):
    """argparse exits with 2; a wrong flag is the user's input, 64."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}. See {self.prog} --help")


def _from_file(argument: str) -> str:
    """Argo hands an argument above 131,072 bytes over as this file name (seen with 4.1.2), and only as a whole argument."""
    return Path(argument[1:]).read_text() if _PASSED_BY_FILE.fullmatch(argument) else argument


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _help(field: FieldInfo) -> str:
    default = "" if field.is_required() else f" (default: {field.default!r})"
    return f"{field.description}{default}".replace("%", "%%")


def _explain(error: ValidationError) -> str:
    """Every wrong flag in one line; the value shown is shortened, since it may be anything."""
    problems = []
    for problem in error.errors():
        name = flag(str(problem["loc"][0]))
        if problem["type"] == "missing":
            problems.append(f"--{name} is missing")
        else:
            text = problem["msg"].removeprefix("Value error, ")
            problems.append(f"--{name} {text[0].lower()}{text[1:]} (got {str(problem['input'])[:80]!r})")
    return "; ".join(problems)
