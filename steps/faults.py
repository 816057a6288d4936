"""Why a step ends early. One class a reason; the class is the exit code that Argo's and JobSet's retry rules act on.

    Fault
     ├─ BadInput      64   your parameters or your run file; never retried
     ├─ BadData       65   your data
     ├─ Unavailable   69   a service is down
     ├─ Bug           70   ours
     ├─ OutOfMemory   71
     ├─ TryAgain      75   pre-empted, or lost a race: the same call may succeed
     ├─ PeerLost      76   another rank of the gang is gone
     ├─ NotAllowed    77   policy, signature or identity says no
     └─ Unfit         78   this machine cannot do the work

The numbers are those of sysexits(3), where it has one: https://man.openbsd.org/sysexits
"""

from typing import ClassVar


class Fault(Exception):
    """One line for a person: what was seen, what was expected, the next move."""

    code: ClassVar[int] = 70


class BadInput(Fault):
    code = 64


class BadData(Fault):
    code = 65


class Unavailable(Fault):
    code = 69


class Bug(Fault):
    code = 70


class OutOfMemory(Fault):
    code = 71


class TryAgain(Fault):
    code = 75


class PeerLost(Fault):
    code = 76


class NotAllowed(Fault):
    code = 77


class Unfit(Fault):
    code = 78


BY_CODE: dict[int, type[Fault]] = {
    kind.code: kind for kind in (BadInput, BadData, Unavailable, Bug, OutOfMemory, TryAgain, PeerLost, NotAllowed, Unfit)
}
