"""Time as Argo writes it. The engine reads the clock only from here, so that tests can bring their own."""

import time
from datetime import UTC, datetime


class Clock:
    """Wall time, in seconds since 1970. `wait` is how long the engine may sleep before its next timer."""

    def now(self) -> float:
        return time.time()

    def wait(self, seconds: float, busy: bool) -> float:
        """How long to wait for events, in seconds, when the next timer is `seconds` away; `busy`: something real is running."""
        return seconds


class SkippingClock(Clock):
    """Jumps over pauses in which nothing runs, for tests: back-off and suspend durations cost no time."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def now(self) -> float:
        return time.time() + self.skipped

    def wait(self, seconds: float, busy: bool) -> float:
        if busy:
            return seconds
        self.skipped += max(seconds, 0.0)
        return 0.0


def rfc3339(seconds: float) -> str:
    """As Kubernetes writes times: UTC, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> float:
    """The inverse of `rfc3339`."""
    return datetime.fromisoformat(text).timestamp()
