"""Moments and durations in the words of `argo`. https://pkg.go.dev/github.com/dustin/go-humanize#CustomRelTime, argo's `util/humanize`."""

from bisect import bisect_right
from datetime import datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_WEEK, _MONTH = 7 * _DAY, 30 * _DAY
_YEAR = 12 * _MONTH
_STEPS = (1, 2, _MINUTE, 2 * _MINUTE, _HOUR, 2 * _HOUR, _DAY, 2 * _DAY, _WEEK, 2 * _WEEK, _MONTH, 2 * _MONTH, _YEAR, 18 * _MONTH, 2 * _YEAR)
_WORDS = (
    *("{}", "1 second", "{} seconds", "1 minute", "{} minutes", "1 hour", "{} hours", "1 day", "{} days"),
    *("1 week", "{} weeks", "1 month", "{} months", "1 year", "2 years", "{} years"),
)
_UNITS = (1, 1, 1, 1, _MINUTE, 1, _HOUR, 1, _DAY, 1, _WEEK, 1, _MONTH, 1, 1, _YEAR)
_SHORT = ("0s", "1s", "{}s", "1m", "{}m", "1h", "{}h", "1d", "{}d")


def short(seconds: float) -> str:
    """`0s`, `12s`, `3m`, `5h`, `2d`: the age and duration of `argo list`."""
    at = min(bisect_right(_STEPS, abs(seconds)), len(_SHORT) - 1)
    return _SHORT[at].format(int(abs(seconds) // _UNITS[at]))


def long(seconds: float) -> str:
    """`3 minutes 12 seconds`: the duration of `argo get`."""
    first = _words(seconds, "0 seconds")
    if seconds < _MINUTE:
        return first
    if seconds < _HOUR:
        return f"{first} {int(seconds % _MINUTE)} seconds"
    if seconds < _DAY:
        return f"{first} {int(seconds % _HOUR // _MINUTE)} minutes"
    return f"{first} {int(seconds % _DAY // _HOUR)} hours"


def moment(then: float, now: float) -> str:
    """`Sat Nov 21 13:04:05 +0000 (2 minutes ago)`, in local time."""
    passed = now - then
    ago = _words(passed, "now") + ("" if abs(passed) < 1 else " ago" if passed > 0 else " from now")
    return f"{datetime.fromtimestamp(then).astimezone():%a %b %d %H:%M:%S %z} ({ago})"


def _words(seconds: float, none: str) -> str:
    at = bisect_right(_STEPS, abs(seconds))
    return _WORDS[at].format(int(abs(seconds) // _UNITS[at]) if at else none)
