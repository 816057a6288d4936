"""Inputs for the fuzz tests: near misses of everything that people write into a workflow, made from its own words."""

from typing import Any

import yaml
from hypothesis import strategies as st

from pipelines.local.expressions.environment import ENVIRONMENT
from pipelines.local.expressions.sprig import SPRIG
from pipelines.local.expressions.syntax import FUNCTIONS, PREDICATES
from pipelines.local.queries.functions import FUNCTIONS as JQ
from tests.local.play import SH

Inputs = st.SearchStrategy[str]

SCOPE: dict[str, object] = {
    "inputs.parameters.n": "3",
    "inputs.parameters.text": "a \"quoted\" 'text' \\ with\nlines, ünïcode and $HOME",
    "inputs.parameters.json": '{"a": [1, 2.5, null, {"b": "x"}], "c": true}',
    "inputs.parameters.odd-name": "odd",
    "inputs.parameters.tag": "{{workflow.name}}",
    "workflow.name": "w",
    "tasks.gone.outputs.parameters.x": None,
    "item": '["a", 1]',
}
_NAMES = [
    *SCOPE,
    "tasks.none.outputs.result",
    "workflow.parameters.none",
    "",
    " item ",
    "inputs",
    "item.a",
    "=",
    "a b",
    "steps['a'].status",
]


def texts(alphabet: str) -> Inputs:
    """Any text at all, and any text of these characters."""
    return st.text(alphabet=alphabet, max_size=40) | st.text(max_size=20)


def _nested(leaves: Inputs, *shapes: str, most: int = 8) -> Inputs:
    """Texts put together: every `{}` of a shape is another one."""

    def grow(inner: Inputs) -> Inputs:
        return st.one_of(
            *(st.tuples(*[inner] * shape.count("{}")).map(lambda parts, shape=shape: shape.format(*parts)) for shape in shapes)
        )

    return st.recursive(leaves, grow, max_leaves=most)


_LITERALS = [
    "nil",
    "true",
    "1",
    "-1",
    "0",
    "2.5",
    "1e300",
    "9223372036854775807",
    "'x'",
    '""',
    "'2026-11-21'",
    "'%d'",
    "'('",
    "'[a-z]+'",
    "[]",
    "{}",
]
_VARIABLES = [
    "item",
    "inputs.parameters.n",
    "inputs.parameters['odd-name']",
    "inputs.parameters.json",
    "workflow",
    "none",
    "#",
    "$env",
    "now()",
]
_CALLS = [f"{name}({{}})" for name in sorted({*FUNCTIONS, *ENVIRONMENT, *(f"sprig.{name}" for name in SPRIG)} - {"sprig"})]
EXPRESSIONS: Inputs = texts("ab1 .'\"()[]{}#!=<>&|?:,;-+*/%^~\\_@") | _nested(
    st.sampled_from(_LITERALS + _VARIABLES),
    *("({} + {})", "({} - {})", "({} * {})", "({} / {})", "({} % {})", "({} ** {})", "({} == {})", "({} < {})", "({} in {})", "({} ?? {})"),
    *("({} ? {} : {})", "not {}", "-{}", "{}[{}]", "{}[{}:{}]", "{}?.a", "[{}, {}]", "{{'a': {}}}", "({} | len())", "let a = {}; {}"),
    *("({} matches {})", "({} contains {})", "({} and {})"),
    *(call.replace("{}", "{}, {}") for call in _CALLS),
    *_CALLS,
    *(f"{name}({{}}, {{}})" for name in PREDICATES),
)
JQS: Inputs = texts(".[]|,(){}\"'?*:@=<>/ab01 \\") | _nested(
    st.sampled_from([".", ".a", ".a[0]", ".[]", "..", "1", '"x"', "null", "[]", "{}", ".none", '"\\(.a)"', "@base64", "empty"]),
    *("({} | {})", "({}, {})", "[{}]", "{{a: {}}}", "({} + {})", "({} / {})", "({} == {})", "({} // {})", "{}?", "{}[{}]", "{}[{}:{}]"),
    *("if {} then {} else {} end", "reduce {} as $x ({}; {})", "try {} catch {}", "({} and {})", "-{}"),
    *(f"{name}({'; '.join(['{}'] * count)})" if count else name for name, count in JQ),
)
JSONPATHS: Inputs = texts("{}.[]'\"$@*:,()?<>=!&|ab01 -") | st.lists(
    st.sampled_from(
        ["{", "}", "$", ".", "..", "a", "['a']", "[0]", "[*]", "[0:1]", "[-1:]", "[?(@.b>1)]", "range .a[*]", "end", "@", "x", '"']
    )
).map("".join)
WHENS: Inputs = texts("ab1 .'\"()[]=!<>&|?:,-+*/%^~\\_{}x0é\n") | _nested(
    st.sampled_from(
        ["a", "'a'", '"a b"', "1", "2.5", "true", "false", "x-y", "{{item}}", "2026-11-21", "'2026-11-21'", "[a]", "(1,2)", ""]
    ),
    *(
        "{} == {}",
        "{} != {}",
        "({} && {})",
        "{} || {}",
        "!{}",
        "-{}",
        "{} =~ {}",
        "{} in ({}, {})",
        "{} < {}",
        "{} ?? {}",
        "{} ? {} : {}",
        "{} ** {}",
    ),
)
DEPENDS: Inputs = texts("ab.-_ &|!()Succeeded") | _nested(
    st.sampled_from(["a", "b", "a-b", "a.Succeeded", "b.Failed", "a.AnySucceeded", "a.Nothing", "1a", "a.b.c"]),
    *("({} && {})", "{} || {}", "!{}", "{} {}"),
)
DURATIONS: Inputs = texts("0123456789.hmsuµn+-e _") | st.from_regex(
    r"[-+]?([0-9]{0,4}(\.[0-9]{0,3})?(h|m|s|ms|us|ns|d)?){0,3}", fullmatch=True
)
SELECTORS: Inputs = texts("ab.=!,\\ ") | st.lists(
    st.sampled_from(["phase", "displayName", "=", "==", "!=", ",", "\\,", "\\=", "\\\\", "a b", "Failed", ""])
).map("".join)
CRONS: Inputs = texts("0123456789*/,-? LW#@") | st.lists(
    st.sampled_from(
        ["*", "0", "*/5", "1-5", "MON", "31", "60", "1,2", "JAN-DEC", "?", "5/0", "@daily", "@every 1h", "CRON_TZ=Europe/Berlin", "TZ=x"]
    ),
    max_size=7,
).map(" ".join)
PATTERNS: Inputs = texts("ab1()[]{}|*+?^$.\\dwpQE,-:iPs<>") | _nested(
    st.sampled_from(
        [
            "a",
            "b",
            ".",
            "ab",
            "",
            "^",
            "$",
            r"\b",
            r"\w",
            "[ab]",
            "[^a]",
            "[[:alpha:]]",
            r"\pL",
            "(?i)",
            r"\Q*\E",
            "a**",
            "[",
            r"\8",
            "(?=a)",
        ]
    ),
    *(
        "{}{}",
        "{}|{}",
        "({})",
        "(?:{})",
        "(?P<n>{})",
        "(?i:{})",
        "({})*",
        "({})+",
        "(?:{})*?",
        "({})?",
        "({}){{0,9}}",
        "(?:{}){{2,}}",
        "({}",
    ),
)
TAGGED: Inputs = st.lists(
    st.sampled_from(_NAMES).map("{{{{{}}}}}".format)
    | EXPRESSIONS.map("{{{{={}}}}}".format)
    | texts("{}= '\"\\a")
    | st.sampled_from(["{{", "}}"]),
    max_size=4,
).map("".join)
YAML: Inputs = texts(":-[]{}&*!|>%@`'\"#,?\n\t ab01~") | st.lists(
    st.sampled_from(
        [
            "kind: Workflow\n",
            "a: b\n",
            "- x\n",
            "  ",
            "---\n",
            "&a ",
            "*a\n",
            "<<: *a\n",
            "!!int ",
            "? ",
            "0o17\n",
            "1e3\n",
            "{",
            "]",
            "|\n",
            "%YAML 1.1\n",
            "\x00",
        ]
    )
).map("".join)

# --- whole workflows


def _echo(name: str, script: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputs": {"parameters": [{"name": "x", "default": "none"}]}, "container": SH | {"args": [script]}, **more}


_ARGUMENTS = st.sampled_from(
    [
        *(
            "plain",
            "{{item}}",
            "{{inputs.parameters.x}}",
            "{{workflow.name}}",
            "{{nothing.here}}",
            "{{=1 + 1}}",
            "{{=item}}",
            "{{= none.at.all }}",
        ),
        *(
            "{{tasks.t0.outputs.result}}",
            "{{steps.t0.outputs.result}}",
            "{{tasks.t0.status}}",
            "{{workflow.parameters.p}}",
            "{{",
            "}}",
            "{{=",
            "",
        ),
        *("{{tasks.t1.outputs.parameters.none}}", "{{inputs.artifacts.none}}", "{{=tasks.t0.outputs.result}}", "{{ item }}", "{{item.a}}"),
    ]
)
_LOOPS = st.sampled_from(
    [
        *(
            {},
            {},
            {},
            {"withItems": ["a", 1, {"a": "b"}]},
            {"withItems": []},
            {"withSequence": {"count": "2"}},
            {"withParam": '["x", "y"]'},
        ),
        *({"withParam": "{{tasks.t0.outputs.result}}"}, {"withSequence": {"start": "1", "end": "{{item}}"}}, {"withParam": "none"}),
    ]
)
_WHEN = st.sampled_from(
    [None, None, "{{item}} == a", "{{tasks.t0.status}} == Succeeded", "{{workflow.name}} != w", "{{none}} == 1", "{{=true}}"]
)
_TEMPLATES = ["echo", "fail", "flaky", "literal", "inner", "wait"]


@st.composite
def members(draw: st.DrawFn, kind: str, first: int = 0, inner: bool = True) -> list[dict[str, Any]]:
    """Tasks of a dag, or steps side by side, numbered from `first`."""
    found = []
    for number in range(first, first + draw(st.integers(1, 3))):
        one: dict[str, Any] = {"name": f"t{number}", "template": draw(st.sampled_from(_TEMPLATES if inner else _TEMPLATES[:4]))}
        one |= draw(_LOOPS)
        one["arguments"] = {"parameters": [{"name": "x", "value": draw(_ARGUMENTS)}]}
        if when := draw(_WHEN):
            one["when"] = when
        if kind == "steps" and draw(st.booleans()):
            one["continueOn"] = {"failed": True}
        if kind == "dag" and number and draw(st.booleans()):
            one["depends"] = draw(st.sampled_from(["t0", "t0.Succeeded || t0.Failed", "!t0.Skipped", "t0.AnySucceeded", "t0 && !t1"]))
        if draw(st.integers(0, 4)) == 0:
            one["hooks"] = {"exit": {"template": "echo", "arguments": {"parameters": [{"name": "x", "value": draw(_ARGUMENTS)}]}}}
        found.append(one)
    return found


@st.composite
def workflows(draw: st.DrawFn) -> str:
    """A small workflow, right or wrong."""
    kind = draw(st.sampled_from(["dag", "steps"]))
    inner = draw(members("dag", inner=False))
    body = (
        {"dag": {"tasks": draw(members(kind))}}
        if kind == "dag"
        else {"steps": [draw(members(kind, first)) for first in range(0, draw(st.sampled_from([3, 6])), 3)]}
    )
    templates = [
        {"name": "main", **body},
        {"name": "inner", "inputs": {"parameters": [{"name": "x"}]}, "dag": {"tasks": inner}},
        _echo("echo", "echo '{{inputs.parameters.x}}'"),
        _echo("literal", "echo '{{none}}'"),
        _echo("fail", "exit 3"),
        _echo("flaky", "exit {{retries}}", retryStrategy={"limit": draw(st.sampled_from([0, 1, "2", "x", "{{inputs.parameters.x}}"]))}),
        {"name": "wait", "suspend": {"duration": draw(st.sampled_from(["1", "10s", "x"]))}},
    ]
    spec: dict[str, Any] = {"entrypoint": "main", "templates": templates, "arguments": {"parameters": [{"name": "p", "value": "v"}]}}
    if draw(st.integers(0, 4)) == 0:
        spec["onExit"] = "echo"
    return yaml.safe_dump({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"}, "spec": spec})
