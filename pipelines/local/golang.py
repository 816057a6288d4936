"""How Go writes values as text: `json.Marshal`, `strconv.Quote`, `fmt.Sprint`. Argo's substitution and messages are made of these three.

Rules: https://pkg.go.dev/encoding/json#Marshal, https://pkg.go.dev/strconv#Quote, https://pkg.go.dev/fmt (verb %v).
"""

import math
import re
from collections.abc import Mapping, Sequence

_SHORT = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", '"': '\\"', "\\": "\\\\"}
_JSON = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_JSON |= {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
_JSON |= {chr(code): f"\\u{code:04x}" for code in range(32) if chr(code) not in _JSON}
_JSON_TABLE = str.maketrans(_JSON)


class MarshalError(ValueError):
    """A value that JSON cannot hold; the message is Go's."""


class AnyKeyMap(dict[object, object]):
    """Go's map[any]any, which `groupBy` and `fromPairs` make and json.Marshal refuses; `kind` is its Go type."""

    kind = "map[interface {}]interface {}"


def escape(text: str) -> str:
    """The text inside Go's double quotes (`strconv.Quote` without them)."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(character if _plain(character) else _escaped(character) for character in text)


def quote(text: str) -> str:
    """`strconv.Quote`."""
    return f'"{escape(text)}"'


def _plain(character: str) -> bool:
    return character.isprintable() and character not in '"\\'


def _escaped(character: str) -> str:
    short = _SHORT.get(character)
    if short:
        return short
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xD800 <= code < 0xE000:
        return "\\ufffd"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def marshal(value: object, indent: str = "", _depth: int = 0) -> str:
    """`json.Marshal`, or `json.MarshalIndent` with an indent; raises MarshalError for what JSON cannot hold."""
    if isinstance(value, str):
        return f'"{value.translate(_JSON_TABLE)}"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return _json_float(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, AnyKeyMap):
        raise MarshalError(f"json: unsupported type: {value.kind}")
    if isinstance(value, Mapping):
        colon = ": " if indent else ":"
        parts = [f"{marshal(str(key))}{colon}{marshal(value[key], indent, _depth + 1)}" for key in sorted(value)]
        return _wrapped("{", parts, "}", indent, _depth)
    if isinstance(value, Sequence):
        return _wrapped("[", [marshal(part, indent, _depth + 1) for part in value], "]", indent, _depth)
    text = getattr(value, "as_json", None)
    if text is None:
        raise MarshalError("json: unsupported type: func")
    return str(text())


def _wrapped(opening: str, parts: list[str], closing: str, indent: str, depth: int) -> str:
    if not indent or not parts:
        return opening + ",".join(parts) + closing
    line = "\n" + indent * depth
    return f"{opening}{line}{indent}" + f",{line}{indent}".join(parts) + f"{line}{closing}"


def _json_float(value: float) -> str:
    if not math.isfinite(value):
        raise MarshalError(f"json: unsupported value: {_float(value)}")
    digits, exponent = _digits(value)
    if value == 0 or -6 <= exponent - 1 < 21:
        return _positional(value, digits, exponent)
    text = _scientific(value, digits, exponent)
    return text[:-2] + text[-1] if text[-4:-1] == "e-0" else text


def _float(value: float) -> str:
    """`%v`: shortest digits, scientific below 1e-4 and from 1e6."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    digits, exponent = _digits(value)
    if value == 0 or -4 <= exponent - 1 < 6:
        return _positional(value, digits, exponent)
    return _scientific(value, digits, exponent)


def _digits(value: float) -> tuple[str, int]:
    """Shortest digits d and exponent e with |value| = 0.d * 10^e."""
    mantissa, _, power = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    stripped = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(stripped)
    return stripped.rstrip("0"), len(whole) - leading + int(power or 0)


def _positional(value: float, digits: str, exponent: int) -> str:
    sign = "-" if math.copysign(1, value) < 0 else ""
    if not digits:
        return sign + "0"
    if exponent <= 0:
        return f"{sign}0.{'0' * -exponent}{digits}"
    whole, fraction = digits[:exponent].ljust(exponent, "0"), digits[exponent:]
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole


def _scientific(value: float, digits: str, exponent: int) -> str:
    sign = "-" if value < 0 else ""
    fraction = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[0]}{fraction}e{'+' if exponent > 0 else '-'}{abs(exponent - 1):02d}"


def sprint(value: object) -> str:
    """`fmt.Sprint` of one value (`%v`): `[20 1 true <nil>]`, `map[k:20]`."""
    if value is None:
        return "<nil>"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: (isinstance(key, str), key))
        return "map[" + " ".join(f"{sprint(key)}:{sprint(value[key])}" for key in keys) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(sprint(part) for part in value) + "]"
    return str(getattr(value, "pattern", value))


def divide(left: float, right: float) -> float:
    """Division of Go floats, which has no exceptions."""
    if right:
        return left / right
    return math.nan if not left or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)


def power(base: float, exponent: float) -> float:
    """`math.Pow`, which has no exceptions. https://pkg.go.dev/math#Pow"""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf
    except ValueError:
        return math.nan if base else math.inf


_VERB = re.compile(r"%([-+ #0]*)(\d*)(?:(\.)(\d*))?(.?)", re.DOTALL)
_BASES = {"d": "d", "v": "d", "o": "o", "O": "o", "x": "x", "X": "X", "b": "b"}


def sprintf(pattern: str, number: int) -> str:
    """`fmt.Sprintf` with one integer, its complaints included: `%!s(int=3)`, `%!d(MISSING)`, `%!(EXTRA int=3)`, `%!(NOVERB)`."""
    used = 0

    def one(found: re.Match[str]) -> str:
        nonlocal used
        flags, width, dot, precision, verb = found.groups(default="")
        if not verb:
            return "%!(NOVERB)"
        if verb == "%":
            return "%"
        used += 1
        if used > 1:
            return f"%!{verb}(MISSING)"
        shown = _integer(number, flags, int(width or 0), int(precision or 0) if dot else None, verb)
        return shown if verb in _BASES or verb in "cqU" else f"%!{verb}(int={shown})"

    text = _VERB.sub(one, pattern)
    return text if used else f"{text}%!(EXTRA int={number})"


def _integer(number: int, flags: str, width: int, precision: int | None, verb: str) -> str:
    """An integer with Go's flags, which are C's but for `#o` and `%O`."""
    sign = "-" if number < 0 else "+" if "+" in flags else " " if " " in flags else ""
    if verb in "cqU":
        character = chr(number) if 0 <= number < 0x110000 else "\ufffd"
        shown = {"c": character, "q": f"'{escape(character)}'", "U": f"U+{number:04X}"}[verb]
        return shown.ljust(width) if "-" in flags else shown.rjust(width)
    digits = format(abs(number), _BASES.get(verb, "d")).rjust(precision or 0, "0") if number or precision != 0 else ""
    prefix = "0o" if verb == "O" else {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(verb, "") if "#" in flags else ""
    if "0" in flags and "-" not in flags and precision is None:
        digits = digits.rjust(width - len(sign), "0")
    shown = sign + prefix + digits
    return shown.ljust(width) if "-" in flags else shown.rjust(width)
