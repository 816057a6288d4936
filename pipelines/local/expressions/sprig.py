"""The functions under `sprig.` that people use, argument order included. http://masterminds.github.io/sprig (v3.3.0)

Those that Argo has and this table has not raise UnsupportedFunction; `env` and `expandenv` Argo has removed itself.
"""

import base64
import hashlib
import math
import posixpath
import re
import string
import zlib
from collections.abc import Callable, Mapping

from pipelines.local import golang, gotime
from pipelines.local.expressions import values
from pipelines.local.expressions.builtins import BUILTINS, from_json, split, to_number
from pipelines.local.expressions.errors import Panic, UnsupportedFunction
from pipelines.local.expressions.patterns import PATTERNS
from pipelines.local.expressions.values import Duration, to_text

_NUMBER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|[0-9]+)")
# fmt: off
_UNSUPPORTED = (
    "abbrevboth", "adler32sum", "ago", "bcrypt", "buildCustomCert", "camelcase", "date_in_zone", "dateInZone",
    "decryptAES", "deepCopy", "derivePassword", "durationRound", "encryptAES", "genCA", "genCAWithKey",
    "genPrivateKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
    "getHostByName", "htmlDateInZone", "htpasswd", "initials", "kebabcase", "mustDeepCopy", "must_date_modify",
    "mustDateModify", "randAlpha", "randAlphaNum", "randAscii", "randBytes", "randInt", "randNumeric", "semver",
    "semverCompare", "seq", "shuffle", "snakecase", "toDecimal", "urlJoin", "urlParse", "uuidv4", "wrap",
    "wrapWith",
)
# fmt: on


def _unsupported(name: str) -> Callable[..., object]:
    def function(*arguments: object) -> object:
        raise UnsupportedFunction(f"sprig.{name} is not supported locally: use another function, or run on a cluster")

    return function


def text(value: object) -> str:
    """sprig's strval."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else golang.sprint(value)


def integer(value: object) -> int:
    """What cast.ToInt64 makes of anything: 0 where it fails."""
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value.split(".")[0] if re.fullmatch(r"[+-]?\d+\.0*", value) else value)
        return _based(found[0]) if found else 0
    if isinstance(value, bool | int | float):
        return int(value)
    return 0


def _based(digits: str) -> int:
    octal = re.fullmatch(r"([+-]?)0([0-7]+)", digits)
    return int(f"{octal[1]}{octal[2]}", 8) if octal else int(digits, 0)


def number(value: object) -> float:
    """What cast.ToFloat64 makes of anything: 0 where it fails."""
    try:
        return float(value) if isinstance(value, bool) else to_number(value)
    except Panic:
        return 0.0


def _strings(value: object) -> list[str]:
    if isinstance(value, list):
        return [text(part) for part in value if part is not None]
    return [] if value is None else [text(value)]


def _quotient(left: object, right: object) -> int:
    return int(values.to_int(_whole_quotient(integer(left), integer(right))))


def _whole_quotient(left: int, right: int) -> int:
    if right == 0:
        raise Panic("runtime error: integer divide by zero")
    size = abs(left) // abs(right)
    return size if (left < 0) == (right < 0) else -size


def _remainder(left: object, right: object) -> object:
    return values.arithmetic("%", integer(left), integer(right))


def _product(*factors: object) -> int:
    product = 1
    for factor in factors:
        product = values.whole(product * integer(factor))
    return product


def _truncate(size: int, of: str) -> str:
    raw = to_text(of).encode("utf-8", "surrogatepass")
    kept = raw[len(raw) + size :] if size < 0 < len(raw) + size else raw[:size] if size >= 0 else raw
    return kept.decode("utf-8", "replace")


def _substring(start: int, end: int, of: str) -> str:
    raw = to_text(of).encode("utf-8", "surrogatepass")
    part = raw[:end] if start < 0 else raw[start:] if end < 0 or end > len(raw) else raw[start:end]
    return part.decode("utf-8", "replace")


def _indent(spaces: int, of: str) -> str:
    if spaces * (of.count("\n") + 1) >= 1_000_000:
        raise Panic("memory budget exceeded")
    return " " * spaces + of.replace("\n", "\n" + " " * spaces)


def _dict(*pairs: object) -> dict[str, object]:
    padded = [*pairs, ""] if len(pairs) % 2 else [*pairs]
    return {text(key): value for key, value in zip(padded[::2], padded[1::2], strict=True)}


def _safe_json(of: object) -> object:
    try:
        return from_json(of)
    except Panic:
        return None


def _json(of: object, indent: str = "") -> str:
    try:
        return golang.marshal(of, indent)
    except golang.MarshalError:
        return ""


def _raw_json(of: object) -> str:
    return _json(of).replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&")


def _sequence(of: object) -> list[object]:
    if isinstance(of, list):
        return of
    raise Panic(f"Cannot use a list function on type {values.go_type(of)}")


def _until(start: int, stop: int, step: int) -> list[object]:
    if step == 0 or (stop < start) != (step < 0):
        return []
    if abs(stop - start) // abs(step) >= 1_000_000:
        raise Panic("memory budget exceeded")
    return [*range(start, stop, step)]


def _round(of: object, places: int, up: float = 0.5) -> float:
    """Up from this fraction on, else down, also below zero. https://github.com/Masterminds/sprig/blob/v3.3.0/numeric.go"""
    power = golang.power(10.0, float(places))
    digits = number(of) * power
    if not math.isfinite(digits):
        return golang.divide(digits, power)
    return golang.divide(float(math.ceil(digits) if math.modf(digits)[0] >= up else math.floor(digits)), power)


def _merge(*maps: Mapping[str, object]) -> dict[str, object]:
    merged: dict[str, object] = {}
    for one in reversed(maps):
        merged |= {key: value for key, value in one.items() if value or key not in merged}
    return merged


def _dig(*path: object) -> object:
    *keys, default, place = path
    for key in keys:
        if not isinstance(place, Mapping) or key not in place:
            return default
        place = place[key]
    return place


def _ternary(yes: object, no: object, condition: object) -> object:
    return yes if values.to_bool(condition) else no


def _extension(path: str) -> str:
    name = path.rpartition("/")[2]
    return name[name.rindex(".") :] if "." in name else ""


def _date(layout: str, of: object) -> str:
    if isinstance(of, gotime.Moment):
        return gotime.format(of, layout)
    seconds = integer(of) if values.is_number(of) else gotime.now().nanoseconds // 10**9
    return gotime.format(gotime.Moment(seconds * 10**9, 0, "UTC"), layout)


def _modify(change: str, of: gotime.Moment) -> object:
    return values.arithmetic("+", of, BUILTINS["duration"](change))


def _fail(message: str) -> object:
    raise Panic(message)


def _digest(name: str) -> Callable[[str], str]:
    return lambda of: hashlib.new(name, to_text(of).encode("utf-8", "surrogatepass")).hexdigest()


def _decoded(name: str, decode: Callable[[bytes], bytes], alphabet: bytes, quantum: int) -> Callable[[str], str]:
    def function(of: str) -> str:
        """What is no such code gives Go's error as the value. https://pkg.go.dev/encoding/base64#CorruptInputError"""
        code = of.replace("\n", "").replace("\r", "").encode()
        try:
            return decode(code).decode("utf-8", "replace")
        except ValueError:
            strange = [at for at, letter in enumerate(code) if letter not in alphabet]
            return f"illegal {name} data at input byte {min(strange, default=len(code) - len(code) % quantum)}"

    return function


_UPPER, _LOWER = string.ascii_uppercase.encode(), string.ascii_lowercase.encode()


_STRINGS: dict[str, Callable[..., object]] = {
    "trim": BUILTINS["trim"],
    "upper": BUILTINS["upper"],
    "lower": BUILTINS["lower"],
    "title": lambda of: re.sub(r"(?<![\w'])\w", lambda letter: letter[0].upper(), of),
    "untitle": lambda of: re.sub(r"(?<!\S)\w", lambda letter: letter[0].lower(), of),
    "trunc": _truncate,
    "substr": _substring,
    "repeat": lambda count, of: BUILTINS["repeat"](of, count),
    **dict.fromkeys(("trimAll", "trimall"), lambda characters, of: of.strip(characters)),
    "trimSuffix": lambda suffix, of: of.removesuffix(suffix),
    "trimPrefix": lambda prefix, of: of.removeprefix(prefix),
    "nospace": lambda of: "".join(of.split()),
    "swapcase": lambda of: to_text(of).swapcase(),
    "contains": lambda part, of: to_text(part) in to_text(of),
    "hasPrefix": lambda part, of: of.startswith(part),
    "hasSuffix": lambda part, of: of.endswith(part),
    "quote": lambda *parts: " ".join(golang.quote(text(part)) for part in parts if part is not None),
    "squote": lambda *parts: " ".join(f"'{text(part)}'" for part in parts if part is not None),
    "cat": lambda *parts: " ".join(text(part) for part in parts if part is not None),
    "indent": _indent,
    "nindent": lambda spaces, of: "\n" + _indent(spaces, of),
    "replace": lambda old, new, of: to_text(of).replace(old, new),
    "plural": lambda one, many, count: one if count == 1 else many,
    "abbrev": lambda width, of: of if width < 4 or len(of) <= width else of[: width - 3] + "...",
    **{name: _digest(name.removesuffix("sum")) for name in ("sha1sum", "sha256sum", "sha512sum")},
    "adler32sum": lambda of: str(zlib.adler32(of.encode())),
    "toString": text,
    "splitList": lambda separator, of: split(of, separator),
    "split": lambda separator, of: {f"_{index}": part for index, part in enumerate(split(of, separator))},
    "splitn": lambda separator, most, of: {f"_{index}": part for index, part in enumerate(split(of, separator, most))},
    "toStrings": lambda of: [*_strings(of)],
    "join": lambda separator, of: separator.join(_strings(of)),
    "sortAlpha": lambda of: sorted(_strings(of)),
    "b64enc": BUILTINS["toBase64"],
    "b64dec": _decoded("base64", lambda of: base64.b64decode(of, validate=True), _UPPER + _LOWER + b"0123456789+/", 4),
    "b32enc": lambda of: base64.b32encode(of.encode()).decode(),
    "b32dec": _decoded("base32", base64.b32decode, _UPPER + b"234567", 8),
    **PATTERNS,
}
_NUMBERS: dict[str, Callable[..., object]] = {
    **dict.fromkeys(("int", "int64"), integer),
    "atoi": lambda of: integer(of) if re.fullmatch(r"[+-]?\d+", of) else 0,
    "float64": number,
    "add": lambda *terms: values.whole(sum(map(integer, terms))),
    "add1": lambda of: values.whole(integer(of) + 1),
    "sub": lambda left, right: values.whole(integer(left) - integer(right)),
    "mul": _product,
    "div": _quotient,
    "mod": _remainder,
    "addf": lambda *terms: sum(map(number, terms)),
    "subf": lambda of, *terms: number(of) - sum(map(number, terms)),
    **dict.fromkeys(("max", "biggest"), lambda *of: max(map(integer, of))),
    "min": lambda *of: min(map(integer, of)),
    "maxf": lambda *of: max(map(number, of)),
    "minf": lambda *of: min(map(number, of)),
    "ceil": lambda of: BUILTINS["ceil"](number(of)),
    "floor": lambda of: BUILTINS["floor"](number(of)),
    "round": _round,
    "until": lambda stop: _until(0, stop, 1 if stop >= 0 else -1),
    "untilStep": _until,
}
_DATA: dict[str, Callable[..., object]] = {
    "default": lambda default, *given: given[0] if given and given[0] else default,
    "empty": lambda of: not of,
    "coalesce": lambda *of: next((value for value in of if value), None),
    "all": lambda *of: all(of),
    "any": lambda *of: any(of),
    **dict.fromkeys(("compact", "mustCompact"), lambda of: [value for value in _sequence(of) if value]),
    "fromJson": _safe_json,
    "mustFromJson": from_json,
    **dict.fromkeys(("toJson", "mustToJson"), _json),
    **dict.fromkeys(("toPrettyJson", "mustToPrettyJson"), lambda of: _json(of, "  ")),
    **dict.fromkeys(("toRawJson", "mustToRawJson"), _raw_json),
    "ternary": _ternary,
    "typeOf": values.go_type,
    "typeIs": lambda name, of: values.go_type(of) == name,
    "kindOf": BUILTINS["type"],
    "deepEqual": values.same,
    **dict.fromkeys(("list", "tuple"), lambda *of: [*of]),
    "dict": _dict,
    "get": lambda of, key: of.get(key, ""),
    "set": lambda of, key, value: {**of, key: value},
    "unset": lambda of, key: {name: value for name, value in of.items() if name != key},
    "hasKey": lambda of, key: key in of,
    "pluck": lambda key, *of: [one[key] for one in of if key in one],
    "keys": lambda *of: [key for one in of for key in sorted(one)],
    "values": lambda of: [of[key] for key in sorted(of)],
    "pick": lambda of, *keys: {key: of[key] for key in keys if key in of},
    "omit": lambda of, *keys: {key: value for key, value in of.items() if key not in keys},
    **dict.fromkeys(("merge", "mustMerge"), _merge),
    **dict.fromkeys(("mergeOverwrite", "mustMergeOverwrite"), lambda *of: _merge(*reversed(of))),
    **dict.fromkeys(("append", "push", "mustAppend", "mustPush"), lambda of, value: [*_sequence(of), value]),
    **dict.fromkeys(("prepend", "mustPrepend"), lambda of, value: [value, *_sequence(of)]),
    **dict.fromkeys(("first", "mustFirst"), lambda of: _sequence(of)[0] if of else None),
    **dict.fromkeys(("last", "mustLast"), lambda of: _sequence(of)[-1] if of else None),
    **dict.fromkeys(("rest", "mustRest"), lambda of: _sequence(of)[1:]),
    **dict.fromkeys(("initial", "mustInitial"), lambda of: _sequence(of)[:-1]),
    **dict.fromkeys(("reverse", "mustReverse"), BUILTINS["reverse"]),
    **dict.fromkeys(("uniq", "mustUniq"), BUILTINS["uniq"]),
    **dict.fromkeys(("without", "mustWithout"), lambda of, *out: [v for v in _sequence(of) if not any(values.same(v, o) for o in out)]),
    **dict.fromkeys(("has", "mustHas"), lambda needle, of: any(values.same(needle, value) for value in of or [])),
    **dict.fromkeys(("slice", "mustSlice"), lambda of, start=0, end=None: _sequence(of)[start:end]),
    "concat": lambda *of: [value for part in of for value in _sequence(part)],
    "dig": _dig,
    **dict.fromkeys(("chunk", "mustChunk"), lambda size, of: [of[at : at + size] for at in range(0, len(of), size)]),
    "base": lambda path: posixpath.basename(path.rstrip("/")) or ("/" if path else "."),
    "dir": lambda path: posixpath.dirname(path) or ".",
    "clean": posixpath.normpath,
    "ext": _extension,
    "isAbs": posixpath.isabs,
    "fail": _fail,
}
_TIMES: dict[str, Callable[..., object]] = {
    "now": gotime.now,
    "date": _date,
    "htmlDate": lambda of: _date("2006-01-02", of),
    **dict.fromkeys(("dateModify", "date_modify"), _modify),
    "toDate": lambda layout, of: gotime.parse(layout, of),
    "mustToDate": lambda layout, of: gotime.parse(layout, of),
    "duration": lambda seconds: str(Duration(integer(seconds) * 10**9)),
    "unixEpoch": lambda of: str(of.nanoseconds // 10**9),
}
_PATHS = {f"os{name[0].upper()}{name[1:]}": _DATA[name] for name in ("base", "clean", "dir", "ext", "isAbs")}
SPRIG: dict[str, Callable[..., object]] = {name: _unsupported(name) for name in _UNSUPPORTED}
SPRIG |= {**_STRINGS, **_NUMBERS, **_DATA, **_TIMES, **_PATHS}
