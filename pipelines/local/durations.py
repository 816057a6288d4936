"""Go's durations ("1h30m", "500ms") and Argo's ("10": seconds)."""

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def parse(text: str) -> float:
    """Seconds of a Go duration with units; ValueError in Go's words. https://pkg.go.dev/time#ParseDuration"""
    sign = -1.0 if text.startswith("-") else 1.0
    rest = text.lstrip("+-") if text[:1] in "+-" else text
    if rest == "0":
        return 0.0
    total, at = 0.0, 0
    for part in _PART.finditer(rest):
        if part.start() != at:
            break
        total, at = total + float(part[1]) * _UNITS[part[2]], part.end()
    if not rest or at != len(rest):
        missing = re.fullmatch(r"\d+\.?\d*|\.\d+", rest)
        raise ValueError(f'time: {"missing unit in" if missing else "invalid"} duration "{text}"')
    return sign * total


def seconds_or_duration(text: str) -> float:
    """Argo's form: a bare integer counts seconds. ValueError as Argo words it."""
    if re.fullmatch(r"-?\d+", text):
        return float(text)
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"unable to parse {text} as a duration: {error}") from None


def human(seconds: float) -> str:
    """`0.2s`, `12s`, `3m05s`, `2h07m`, for people."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"


def go(seconds: float) -> str:
    """As Go prints a time.Duration of whole seconds: `2m0s`, `30s`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
