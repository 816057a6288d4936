"""The functions that Argo adds to expr-lang. argo-workflows v4.1.2 `util/expr/env/env.go`."""

from pipelines.local import golang
from pipelines.local.expressions.builtins import from_json, to_integer, to_number
from pipelines.local.expressions.errors import Panic
from pipelines.local.expressions.values import to_text


def _to_json(value: object) -> str:
    try:
        return golang.marshal(value)
    except golang.MarshalError as error:
        raise Panic(str(error)) from None


def _jsonpath(text: object, path: object) -> object:
    from pipelines.local.expressions import jsonpath

    return jsonpath.query(to_text(path), from_json(text))


ENVIRONMENT: dict[str, object] = {
    "asInt": to_integer,
    "asFloat": to_number,
    "jsonpath": _jsonpath,
    "toJson": _to_json,
}
