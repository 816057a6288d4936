"""The methods of times and durations that an expression may call. https://pkg.go.dev/time"""

from collections.abc import Callable, Mapping
from datetime import timedelta

from pipelines.local import gotime
from pipelines.local.expressions.values import Duration, Month, Weekday
from pipelines.local.gotime import Moment


def methods(of: Moment | Duration) -> Mapping[str, Callable[..., object]]:
    """Method name → function of its arguments."""
    if isinstance(of, Duration):
        return _duration(of)
    local = of.local()
    parts: dict[str, object] = {
        **{"Year": local.year - 400, "Month": Month(local.month), "Day": local.day, "Hour": local.hour, "Minute": local.minute},
        **{"Second": local.second, "Nanosecond": of.nanoseconds % 10**9, "YearDay": local.timetuple().tm_yday},
        **{"Weekday": Weekday(local.isoweekday() % 7), "Unix": of.nanoseconds // 10**9, "UnixMilli": of.nanoseconds // 10**6},
        **{"UnixMicro": of.nanoseconds // 10**3, "UnixNano": of.nanoseconds, "String": str(of), "IsZero": False},
        **{"UTC": Moment(of.nanoseconds, 0, "UTC"), "Local": Moment(of.nanoseconds, 0, "UTC")},
    }
    return {name: _constant(value) for name, value in parts.items()} | _moment(of)


def _constant(value: object) -> Callable[[], object]:
    return lambda: value


def _moment(of: Moment) -> dict[str, Callable[..., object]]:
    return {
        "Format": lambda layout: gotime.format(of, layout),
        "Add": lambda duration: Moment(of.nanoseconds + int(duration), of.offset, of.zone),
        "Sub": lambda other: Duration(of.nanoseconds - other.nanoseconds),
        "Before": lambda other: of.nanoseconds < other.nanoseconds,
        "After": lambda other: of.nanoseconds > other.nanoseconds,
        "Equal": lambda other: of.nanoseconds == other.nanoseconds,
        "AddDate": lambda years, months, days: _add_date(of, years, months, days),
        "Truncate": lambda unit: Moment(of.nanoseconds // int(unit) * int(unit), of.offset, of.zone),
    }


def _add_date(of: Moment, years: int, months: int, days: int) -> Moment:
    local = of.local()
    total = (local.year + years) * 12 + local.month - 1 + months
    moved = local.replace(year=total // 12, month=total % 12 + 1, day=1) + timedelta(days=local.day - 1 + days)
    return Moment(of.nanoseconds + round((moved - local).total_seconds()) * 10**9, of.offset, of.zone)


def _duration(of: Duration) -> dict[str, Callable[..., object]]:
    size = int(of)
    return {
        "Hours": lambda: size / 3.6e12,
        "Minutes": lambda: size / 6e10,
        "Seconds": lambda: size / 1e9,
        "Milliseconds": lambda: int(size / 10**6),
        "Microseconds": lambda: int(size / 10**3),
        "Nanoseconds": lambda: size,
        "String": lambda: str(of),
        "Abs": lambda: Duration(abs(size)),
    }
