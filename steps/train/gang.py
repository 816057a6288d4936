"""The ranks of one attempt: who am I (environment), and one answer for all of them (asked of rank 0's supervisor)."""

import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from steps.faults import BadInput, PeerLost, TryAgain

TOGETHER_SECONDS = 900.0  # a spot node may take minutes to come up
_LOOK_SECONDS = 0.25  # DNS of rank 0 appears 0.5 to 7 s after the start
_LONGEST_ANSWER = 65536


@dataclass(frozen=True)
class Gang:
    nodes: int
    node_rank: int
    processes: int
    master: tuple[str, int]
    jobset: str
    pod: str

    @property
    def world_size(self) -> int:
        return self.nodes * self.processes

    @property
    def leads(self) -> bool:
        return self.node_rank == 0


def of_environment(environ: Mapping[str, str] = os.environ) -> Gang:
    """Raises BadInput when the JobSet's variables are missing or wrong."""
    try:
        gang = Gang(
            nodes=int(environ["NNODES"]),
            node_rank=int(environ["NODE_RANK"]),
            processes=int(environ["NPROC_PER_NODE"]),
            master=(environ["MASTER_ADDR"], int(environ["MASTER_PORT"])),
            jobset=environ.get("JOBSET", "by-hand"),
            pod=environ.get("POD_UID") or uuid.uuid4().hex,
        )
    except (KeyError, ValueError) as error:
        raise BadInput(f"the environment names no place in a gang ({error}); NNODES, NODE_RANK, … come from the JobSet") from None
    if not (0 <= gang.node_rank < gang.nodes and gang.processes > 0):
        raise BadInput(f"rank {gang.node_rank} of {gang.nodes} nodes with {gang.processes} processes is no place in a gang")
    return gang


def agree(gang: Gang, decide: Callable[[], dict[str, Any]], stopping: Callable[[], bool]) -> dict[str, Any]:
    """Rank 0 decides, every other supervisor gets its answer over the port that the workers use afterwards.

    Two ranks that look at the store by themselves may see different checkpoints. All wait for all: a gang starts whole or not at all.
    Raises PeerLost when a rank does not come, TryAgain when this one is asked to stop.
    """
    deadline = time.monotonic() + TOGETHER_SECONDS
    if gang.leads:
        answer = decide()
        _tell(gang, json.dumps(answer).encode(), lambda: _waiting(deadline, stopping))
        return answer
    return _ask(gang, lambda: _waiting(deadline, stopping))


def _tell(gang: Gang, answer: bytes, waiting: Callable[[], None]) -> None:
    """Serve every other rank once. A rank counts when it has said that it got the answer."""
    missing = set(range(1, gang.nodes))
    if not missing:
        return
    with socket.create_server(("", gang.master[1]), backlog=gang.nodes) as server:
        server.settimeout(_LOOK_SECONDS)
        while missing:
            waiting()
            try:
                peer, _ = server.accept()
                with peer:
                    peer.settimeout(5)
                    rank = int(peer.recv(16) or b"-1")
                    peer.sendall(answer + b"\n")
                    peer.shutdown(socket.SHUT_WR)
                    if peer.recv(2) == b"ok":
                        missing.discard(rank)
            except (TimeoutError, ValueError, OSError):
                continue


def _ask(gang: Gang, waiting: Callable[[], None]) -> dict[str, Any]:
    while True:
        waiting()
        try:
            with socket.create_connection(gang.master, timeout=5) as peer:
                peer.sendall(str(gang.node_rank).encode())
                data = b""
                while len(data) < _LONGEST_ANSWER and (part := peer.recv(4096)):
                    data += part
                answer: dict[str, Any] = json.loads(data)
                peer.sendall(b"ok")
                return answer
        except (OSError, ValueError):  # not up yet, or gone again; EAI_AGAIN and EAI_NONAME are OSErrors too
            time.sleep(_LOOK_SECONDS)


def _waiting(deadline: float, stopping: Callable[[], bool]) -> None:
    if stopping():
        raise TryAgain("stopped as asked, before the gang was whole")
    if time.monotonic() > deadline:
        raise PeerLost(f"not every rank came within {TOGETHER_SECONDS:.0f} s; the gang starts again")
