"""When a cron schedule comes next, as github.com/robfig/cron v3.0.1 (`parser.go`, `spec.go`) counts, changes of the clock included.

A time that the clock skips is left out; one that it repeats comes twice. Times are seconds since 1970.
"""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipelines.local import durations, golang

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_BOUNDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: i + 1 for i, name in enumerate(_MONTHS)}),
    (0, 6, {name: i for i, name in enumerate(_DAYS)}),
)
_NAMED = {
    **dict.fromkeys(("@yearly", "@annually"), "0 0 1 1 *"),
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    **dict.fromkeys(("@daily", "@midnight"), "0 0 * * *"),
    "@hourly": "0 * * * *",
}
_YEARS = 5  # how far to look for the next time


class CronError(ValueError):
    """A schedule or a time zone that cannot be read, in Go's words."""


@dataclass(frozen=True)
class Field:
    """The numbers that a field allows; `star`: it was written as `*`."""

    values: frozenset[int]
    star: bool = False


@dataclass(frozen=True)
class Every:
    """`@every 90m`: so many seconds after the time before."""

    seconds: int

    def next(self, after: float) -> int | None:
        return int(after) + self.seconds


@dataclass(frozen=True)
class Schedule:
    """Five fields, and the zone in which they count."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field
    zone: tzinfo

    def next(self, after: float) -> int | None:
        """The next time after `after`; None when there is none in the next five years."""
        if not all(field.values for field in (self.minute, self.hour, self.day, self.month, self.weekday)):
            return None
        at, moved = int(after) + 1, False
        last = self._local(at).year + _YEARS
        while self._local(at).year <= last:
            found, at, moved = self._month(at, moved)
            if found:
                return at
        return None

    def _local(self, at: int) -> datetime:
        return datetime.fromtimestamp(at, self.zone)

    def _date(self, year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
        """Go's time.Date: months and days beyond their end roll over; of a time that the clock skips, a neighbour."""
        start = datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)
        naive = start + timedelta(days=day - 1, hours=hour, minutes=minute, seconds=second)
        local = calendar.timegm(naive.timetuple())
        return local - self._offset(local - self._offset(local))

    def _offset(self, at: int) -> int:
        offset = self._local(at).utcoffset()
        return 0 if offset is None else int(offset.total_seconds())

    # Each of the following looks for the first time that suits its field and those below it: (found, the time, was it moved?).
    # A field that ran over its end lets all of them begin again.

    def _month(self, at: int, moved: bool) -> tuple[bool, int, bool]:
        while (local := self._local(at)).month not in self.month.values:
            at, moved = self._later(at if moved else self._date(local.year, local.month, 1), months=1), True
            if self._local(at).month == 1:
                return False, at, moved
        return self._day(at, moved)

    def _day(self, at: int, moved: bool) -> tuple[bool, int, bool]:
        while not self._suits(local := self._local(at)):
            before = at if moved else self._date(local.year, local.month, local.day)
            at, moved = self._later(before, days=1), True
            hour = self._local(at).hour  # not 0 where the clock skips midnight
            at += ((24 - hour) if hour > 12 else -hour) * 3600
            if at <= before:  # Pacific/Apia left out 30 December 2011; there robfig/cron never comes to an end
                at = before + 86400
            if self._local(at).day == 1:
                return False, at, moved
        return self._time(at, moved)

    def _later(self, at: int, months: int = 0, days: int = 0) -> int:
        """Go's Time.AddDate: the same time of the clock on another day."""
        local = self._local(at)
        return self._date(local.year, local.month + months, local.day + days, local.hour, local.minute, local.second)

    def _suits(self, local: datetime) -> bool:
        """A day must suit both fields, or, when neither is `*`, one of them."""
        day, weekday = local.day in self.day.values, local.isoweekday() % 7 in self.weekday.values
        return (day and weekday) if self.day.star or self.weekday.star else (day or weekday)

    def _time(self, at: int, moved: bool) -> tuple[bool, int, bool]:
        while (local := self._local(at)).hour not in self.hour.values:
            if not moved:
                at, moved = self._date(local.year, local.month, local.day, local.hour), True
            at += 3600
            if self._local(at).hour == 0:
                return False, at, moved
        while self._local(at).minute not in self.minute.values:
            at, moved = (at if moved else at - at % 60) + 60, True
            if self._local(at).minute == 0:
                return False, at, moved
        if second := self._local(at).second:
            return False, at + 60 - second, True
        return True, at, moved


def parse(text: str, default: tzinfo = UTC) -> Schedule | Every:
    """A schedule: five fields, `@daily` and the like, `@every 1h30m`, all of them after `CRON_TZ=Zone `. Raises CronError."""
    if not text:
        raise CronError("empty spec string")
    prefix = re.match(r"(?:CRON_)?TZ=(\S*) ", text)
    if prefix:
        try:
            default = zone(prefix[1])
        except CronError as error:
            raise CronError(f"provided bad location {prefix[1]}: {error}") from None
        text = text[prefix.end() :].strip()
    if text.startswith("@every "):
        return _every(text.removeprefix("@every "))
    if text.startswith("@") and text not in _NAMED:
        raise CronError(f"unrecognized descriptor: {text}")
    words = _NAMED.get(text, text).split()
    if len(words) != len(_BOUNDS):
        raise CronError(f"expected exactly 5 fields, found {len(words)}: [{' '.join(words)}]")
    minute, hour, day, month, weekday = (_field(word, *bounds) for word, bounds in zip(words, _BOUNDS, strict=True))
    return Schedule(minute, hour, day, month, weekday, default)


def zone(name: str) -> tzinfo:
    """A time zone by its IANA name. Raises CronError."""
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CronError(f"unknown time zone {name}") from None


def _every(text: str) -> Every:
    try:
        return Every(max(1, int(durations.parse(text))))
    except ValueError as error:
        raise CronError(f"failed to parse duration @every {text}: {error}") from None


def _field(text: str, low: int, high: int, names: dict[str, int]) -> Field:
    found = [_range(part, low, high, names) for part in text.split(",") if part]
    return Field(frozenset().union(*(f.values for f in found)), any(f.star for f in found))


def _range(text: str, low: int, high: int, names: dict[str, int]) -> Field:
    """`*`, `5`, `2-9`, each with `/step`; `5/2` goes on to the end."""
    base, *steps = text.split("/")
    ends = base.split("-")
    star = ends[0] in ("*", "?")
    if not star and len(ends) > 2:
        raise CronError(f"too many hyphens: {text}")
    first, last = (low, high) if star else (_number(ends[0], names), _number(ends[-1], names))
    if len(steps) > 1:
        raise CronError(f"too many slashes: {text}")
    step = _number(steps[0], {}) if steps else 1
    if steps and len(ends) == 1:
        last = high
    if first < low:
        raise CronError(f"beginning of range ({first}) below minimum ({low}): {text}")
    if last > high:
        raise CronError(f"end of range ({last}) above maximum ({high}): {text}")
    if first > last:
        raise CronError(f"beginning of range ({first}) beyond end of range ({last}): {text}")
    if step == 0:
        raise CronError(f"step of range should be a positive number: {text}")
    return Field(frozenset(range(first, last + 1, step)), star and step == 1)


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not re.fullmatch(r"[-+]?[0-9]+", text):
        raise CronError(f"failed to parse int from {text}: strconv.Atoi: parsing {golang.quote(text)}: invalid syntax")
    if int(text) < 0:
        raise CronError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)
