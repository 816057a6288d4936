"""The data gate's report as a page a person reads: no network, no script, no training text."""

from collections.abc import Mapping
from typing import Any

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Data report: {{ name }}</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #dde2e8;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}.block{color:#a11}.warn{color:#8a5a00}.note{color:#555}
svg{background:#f6f8fa;border-radius:4px}figure{display:inline-block;margin:0 1rem 1rem 0}figcaption{color:#555}
</style></head><body>
<h1>{{ name }}</h1>
<p><b class="{{ 'block' if blocked else '' }}">{{ verdict }}</b></p>
<p>{{ rows }} of {{ total }} rows accepted · format {{ format }} · licence {{ license }}<br><code>{{ data_id }}</code></p>
<h2>Findings</h2>
{% if findings %}<table><tr><th>severity<th>rule<th>rows<th>share<th>what<th>next move</tr>
{% for f in findings %}<tr><td class="{{ f.severity }}">{{ f.severity }}<td>{{ f.rule }}<td class="n">{{ f.count }}
<td class="n">{{ "%.2f"|format(100 * f.share) }} %<td>{{ f.text }}<td>{{ f.hint }}</tr>
{% endfor %}</table>{% else %}<p>None.</p>{% endif %}
<h2>Lengths</h2>
{% for title, bars in histograms.items() %}<figure><svg width="420" height="150" role="img" aria-label="{{ title }}">
{% for bar in bars %}<rect x="{{ bar.x }}" y="{{ bar.y }}" width="{{ bar.width }}" height="{{ bar.height }}" fill="#3b6ea5">
<title>{{ bar.label }}: {{ bar.count }} rows</title></rect>
<text x="{{ bar.middle }}" y="144" font-size="10" text-anchor="middle" fill="#555">{{ bar.label }}</text>
{% endfor %}</svg><figcaption>{{ title }}, rows by length (up to)</figcaption></figure>{% endfor %}
{% if bad_rows %}<h2>Bad rows</h2><p>The first {{ bad_rows|length }}; every one is counted above.</p>
<table><tr><th>line<th>rule<th>why</tr>
{% for row in bad_rows %}<tr><td class="n">{{ row.line or "" }}<td>{{ row.rule }}<td>{{ row.why }}</tr>
{% endfor %}</table>{% endif %}
<h2>Dataset card</h2>
<table>{% for key, value in card.items() %}<tr><th>{{ key }}<td>{{ value }}</tr>{% endfor %}</table>
</body></html>
"""
_WIDE, _HIGH = 420, 128


def html(report: Mapping[str, Any]) -> str:
    """The page of a report.json. The same report gives the same bytes."""
    from jinja2 import Environment, StrictUndefined

    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(_PAGE)
    histograms = {title: bars(counts) for title, counts in report["lengths"].items()}
    return page.render(**{**report, "histograms": histograms})


def bars(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Rectangles of a histogram whose keys are upper bounds, smallest first."""
    if not counts:
        return []
    width = _WIDE // len(counts)
    highest = max(counts.values())
    drawn = []
    for number, (bound, count) in enumerate(counts.items()):
        height = round(_HIGH * count / highest)
        drawn.append(
            {"x": number * width + 1, "y": _HIGH - height, "width": width - 2, "height": height, "middle": number * width + width // 2,
             "label": _short(int(bound)), "count": count}
        )  # fmt: skip
    return drawn


def _short(bound: int) -> str:
    return f"{bound // 1024}k" if bound >= 1024 else str(bound)
