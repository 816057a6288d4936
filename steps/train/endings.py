"""How a worker ended, and what the supervisor's exit code makes of it. Argo's and JobSet's rules act on that code (DESIGN §3, §7)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from steps.faults import BadData, BadInput, Bug, Fault, OutOfMemory, PeerLost, TryAgain

Reason = Literal["done", "stopped", "config", "data", "memory", "peer", "crash", "killed"]


@dataclass(frozen=True)
class Ending:
    """`reason` as the worker wrote it down itself, or `killed` when it could not; `words` hold no training text."""

    rank: int
    reason: Reason
    words: str = ""


def write(path: Path, ending: Ending) -> None:
    path.write_text(json.dumps({"rank": ending.rank, "reason": ending.reason, "words": ending.words}))


def read(path: Path, rank: int, status: int, *, starved: bool) -> Ending:
    """Ending of a worker that left with `status`; `starved`: the kernel killed something in this container for its memory."""
    try:
        written = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        written = {}
    if written.get("reason") in get_args(Reason) and (written["reason"] == "done") == (status == 0):
        return Ending(rank, written["reason"], str(written.get("words", "")))
    if starved:
        return Ending(rank, "memory", "the kernel killed a worker that took more memory than the pod may have")
    how = f"by signal {-status}" if status < 0 else f"with status {status} and no reason"
    return Ending(rank, "killed", f"worker {rank} was ended {how}")


def fault(endings: list[Ending], *, stopping: bool, halved: bool) -> Fault | None:
    """Why the supervisor must end, or None when every worker is done.

    The cause counts before its consequences: a rank that lost its peer tells nothing when another one tells why. `stopping`: SIGTERM
    came first. `halved`: the micro-batch has been halved before, so another shortage is final.
    """
    worst = min(endings, key=lambda ending: _ORDER.index(ending.reason))
    words = worst.words
    match worst.reason:
        case "done":
            return None
        case "config":
            return BadInput(words)
        case "data":
            return BadData(words)
        case "memory" if halved:
            return OutOfMemory(f"{words}. The micro-batch is halved already; take a larger preset or a shorter cutoff_len")
        case "memory":
            return TryAgain(f"{words}. The next attempt goes on with half the micro-batch and twice the accumulation")
        case "crash":
            return Bug(words)
        case "stopped":
            return TryAgain("stopped as asked, after a checkpoint; the next attempt goes on from it")
        case "killed" if stopping:
            return TryAgain("stopped as asked, before a new checkpoint; the next attempt goes on from the last one")
        case "killed":
            return Bug(f"{words}; the next attempt goes on from the last checkpoint")
        case "peer":
            return PeerLost("another rank of the gang is gone; the gang starts again from the last checkpoint")


# The first that any worker reports decides.
_ORDER: tuple[Reason, ...] = ("config", "data", "memory", "crash", "stopped", "killed", "peer", "done")
