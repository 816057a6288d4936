"""Go's time layouts (`2006-01-02T15:04:05Z07:00`): reading and writing moments the way `time.Parse` and `Time.Format` do.

https://pkg.go.dev/time#pkg-constants. Zone abbreviations other than UTC and GMT have offset 0, as in Go when the zone is unknown.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_PIECE = (
    r"January|Jan|Monday|Mon|MST|2006|-07:00:00|-070000|-07:00|-0700|-07|Z07:00:00|Z070000|Z07:00|Z0700|Z07|[.,]0+(?!\d)|[.,]9+(?!\d)"
    r"|002|01|02|03|04|05|06|15|__2|_2|PM|pm|1|2|3|4|5"
)
_PATTERNS = {
    "2006": r"(?P<year>\d{4})", "06": r"(?P<short_year>\d\d)", "01": r"(?P<month>\d\d)", "1": r"(?P<month>\d\d?)",
    "January": f"(?P<month_name>{'|'.join(MONTHS)})", "Jan": f"(?P<month_name>{'|'.join(m[:3] for m in MONTHS)})",
    "Monday": f"(?:{'|'.join(DAYS)})", "Mon": f"(?:{'|'.join(d[:3] for d in DAYS)})",
    "02": r"(?P<day>\d\d)", "2": r"(?P<day>\d\d?)", "_2": r"(?P<day> ?\d\d?)",
    "__2": r"(?P<yearday>[ \d]{2}\d)", "002": r"(?P<yearday>\d{3})",
    "15": r"(?P<hour>\d\d?)", "03": r"(?P<half_hour>\d\d)", "3": r"(?P<half_hour>\d\d?)",
    "04": r"(?P<minute>\d\d)", "4": r"(?P<minute>\d\d?)",
    "05": r"(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?", "5": r"(?P<second>\d\d?)(?:[.,](?P<fraction>\d+))?",
    "PM": "(?P<half>AM|PM)", "pm": "(?P<half>am|pm)", "MST": r"(?P<zone_name>UTC|GMT(?:[+-]\d+)?|[A-Z]{3,5}|[+-]\d\d)",
    "-07": r"(?P<offset>[+-]\d\d)", "-0700": r"(?P<offset>[+-]\d{4})", "-07:00": r"(?P<offset>[+-]\d\d:\d\d)",
    "-070000": r"(?P<offset>[+-]\d{6})", "-07:00:00": r"(?P<offset>[+-]\d\d:\d\d:\d\d)",
    "Z07": r"(?P<offset>Z|[+-]\d\d)", "Z0700": r"(?P<offset>Z|[+-]\d{4})", "Z07:00": r"(?P<offset>Z|[+-]\d\d:\d\d)",
    "Z070000": r"(?P<offset>Z|[+-]\d{6})", "Z07:00:00": r"(?P<offset>Z|[+-]\d\d:\d\d:\d\d)",
}  # fmt: skip
# Go has a year 0 (a time of day without a date), Python has not: calendars repeat after 400 years, so moments are computed there.
_CYCLE = timedelta(days=146_097)
RFC3339 = "2006-01-02T15:04:05Z07:00"
_WHEN_LAYOUTS = (
    *("Mon Jan _2 15:04:05 2006", "Mon Jan _2 15:04:05 MST 2006", "Mon Jan 02 15:04:05 -0700 2006", "3:04PM", RFC3339),
    *("2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02 15:04:05-07:00"),
    *("2006-01-02T15Z0700", "2006-01-02T15:04Z0700", "2006-01-02T15:04:05Z0700"),
)
DATE_LAYOUTS = (
    *("2006-01-02", "15:04:05", "2006-01-02 15:04:05", RFC3339, "02 Jan 06 15:04 MST"),
    *("Monday, 02-Jan-06 15:04:05 MST", "Mon, 02 Jan 2006 15:04:05 MST"),
)


@dataclass(frozen=True, order=True, slots=True)
class Moment:
    """A point in time with its zone's offset; `nanoseconds` counts from 1970 UTC."""

    nanoseconds: int
    offset: int = 0
    zone: str = ""

    def local(self) -> datetime:
        """Whole seconds in the moment's own zone, with 400 years added; raises OverflowError far from the present."""
        return datetime(1970, 1, 1) + _CYCLE + timedelta(seconds=self.nanoseconds // 10**9 + self.offset)

    def as_json(self) -> str:
        """`Time.MarshalJSON`."""
        return f'"{format(self, "2006-01-02T15:04:05.999999999Z07:00")}"'

    def __str__(self) -> str:
        return format(self, "2006-01-02 15:04:05.999999999 -0700 MST")


def now() -> Moment:
    """The present, in UTC, as a controller has it."""
    import time

    return Moment(time.time_ns(), 0, "UTC")


def guess(text: str) -> Moment | None:
    """The moment that a quoted text in a `when` stands for, if it is one."""
    for layout in _WHEN_LAYOUTS:
        moment = _match(layout, text)
        if moment is not None:
            return moment
    return None


def parse(layout: str, text: str) -> Moment:
    """`time.Parse`; raises ValueError."""
    moment = _match(layout, text)
    if moment is None:
        raise ValueError(f'parsing time "{text}" as "{layout}": cannot parse "{text}"')
    return moment


def _match(layout: str, text: str) -> Moment | None:
    pattern, at = "", 0
    for piece in re.finditer(_PIECE, layout):
        pattern += re.escape(layout[at : piece.start()])
        pattern += _PATTERNS.get(piece[0], "")
        at = piece.end()
    pattern += re.escape(layout[at:])
    try:
        found = re.fullmatch(pattern, text, re.ASCII)
    except re.error:
        return None
    return _moment({name: value for name, value in found.groupdict().items() if value}) if found else None


def _moment(parts: dict[str, str]) -> Moment | None:
    try:
        local = datetime(
            400 + _year(parts), _month(parts), int(parts.get("day", "1")), _hour(parts),
            int(parts.get("minute", "0")), int(parts.get("second", "0")),
        )  # fmt: skip
    except ValueError:
        return None
    if "yearday" in parts:
        local += timedelta(days=int(parts["yearday"]) - 1)
    offset = _offset(parts.get("offset", "Z"))
    whole = local - (datetime(1970, 1, 1) + _CYCLE)
    fraction = int(parts.get("fraction", "0")[:9].ljust(9, "0"))
    zone = parts.get("zone_name", "" if offset else "UTC")
    return Moment((whole.days * 86400 + whole.seconds - offset) * 10**9 + fraction, offset, zone)


def _year(parts: dict[str, str]) -> int:
    short = parts.get("short_year")
    if short:
        return int(short) + (1900 if int(short) >= 69 else 2000)
    return int(parts.get("year", "0"))


def _month(parts: dict[str, str]) -> int:
    name = parts.get("month_name")
    return 1 + [month[:3] for month in MONTHS].index(name[:3]) if name else int(parts.get("month", "1"))


def _hour(parts: dict[str, str]) -> int:
    if "half_hour" not in parts:
        return int(parts.get("hour", "0"))
    hour = int(parts["half_hour"])
    if hour > 12:
        raise ValueError("hour out of range")
    half = parts.get("half", "").upper()
    return hour + 12 if half == "PM" and hour < 12 else 0 if half == "AM" and hour == 12 else hour


def _offset(text: str) -> int:
    if text == "Z":
        return 0
    digits = text[1:].replace(":", "").ljust(6, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:])
    return -seconds if text[0] == "-" else seconds


def format(moment: Moment, layout: str) -> str:
    """`Time.Format`."""
    local = moment.local()
    return re.sub(_PIECE, lambda piece: _written(piece[0], moment, local), layout)


def _written(piece: str, moment: Moment, local: datetime) -> str:
    hour = local.hour % 12 or 12
    plain = {
        "2006": f"{local.year - 400:04d}", "06": f"{local.year % 100:02d}", "01": f"{local.month:02d}", "1": f"{local.month}",
        "January": MONTHS[local.month - 1], "Jan": MONTHS[local.month - 1][:3],
        "Monday": DAYS[local.weekday()], "Mon": DAYS[local.weekday()][:3],
        "02": f"{local.day:02d}", "2": f"{local.day}", "_2": f"{local.day:2d}",
        "002": f"{local.timetuple().tm_yday:03d}", "__2": f"{local.timetuple().tm_yday:3d}",
        "15": f"{local.hour:02d}", "03": f"{hour:02d}", "3": f"{hour}", "04": f"{local.minute:02d}", "4": f"{local.minute}",
        "05": f"{local.second:02d}", "5": f"{local.second}",
        "PM": "PM" if local.hour >= 12 else "AM", "pm": "pm" if local.hour >= 12 else "am",
    }  # fmt: skip
    if piece in plain:
        return plain[piece]
    if piece[0] in ".,":
        digits = f"{moment.nanoseconds % 10**9:09d}"[: len(piece) - 1]
        if piece[1] == "9":
            digits = digits.rstrip("0")
        return piece[0] + digits if digits else ""
    return _zone(piece, moment)


def _zone(piece: str, moment: Moment) -> str:
    if piece == "MST" and moment.zone:
        return moment.zone
    if piece.startswith("Z") and moment.offset == 0:
        return "Z"
    sign, seconds = "-" if moment.offset < 0 else "+", abs(moment.offset)
    colon = ":" if ":" in piece else ""
    hours, minutes = f"{seconds // 3600:02d}", f"{seconds % 3600 // 60:02d}"
    if piece == "MST":
        return f"{sign}{hours}" + (minutes if minutes != "00" else "")
    if piece in ("-07", "Z07"):
        return f"{sign}{hours}"
    tail = f"{colon}{seconds % 60:02d}" if piece.count("0") > 3 and len(piece) > 6 else ""
    return f"{sign}{hours}{colon}{minutes}{tail}"
