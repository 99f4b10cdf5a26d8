"""The ledger as pages: one table of all claims, and all about each claim by paper."""

import html
import inspect
import json
import re

from links import outside

from motionrepro.claims import CLAIMS, tell
from motionrepro.figures.style import html_table, table_cell

PAPERS = dict(A=("paper_a", "Paper A"), B=("paper_b", "Paper B"), X=("questions", "Our own questions"))
SHOWN = 3000  # characters of numbers; more are left to the file
CUT = 150  # characters of a result in a list


def verdict(row: dict) -> str:
    """Write a verdict in its colour, and whether it still counts."""
    name = row["verdict"]
    classes = f"verdict {name.split()[0]}{' stale' * row['stale']}"
    return f'<span class="{classes}">{name}{", stale" * row["stale"]}</span>'


def escaped(text: str) -> str:
    """Write plain text so that Markdown leaves it as it is, but for code in backticks."""
    return outside(r"`[^`]*`", r"[\\*_{}\[\]<>|$~]", lambda match: "\\" + match[0], text)


def short(text: str) -> str:
    """Cut a long result at a word."""
    return text if len(text) <= CUT else text[:CUT].rsplit(" ", 1)[0] + " ..."


def claim_list(
    rows: list,  # of the ledger
) -> str:
    """List claims with the paper's value, ours and the verdict, for a page about something else."""
    lines = []
    for row in rows:
        said = f"[{row['id']}](#{row['id']}) {verdict(row)} {escaped(row['claim'])}"
        paper = "" if row["paper"] == "-" else f"*paper:* {escaped(row['paper'])}; "
        values = f"{paper}*here:* {escaped(short(row['ours']) or row['note'])}"
        lines.append(f"- {said}\n\n  {values}")
    return "::::{container} claims\n\n" + "\n".join(lines) + "\n\n::::"


def overview(rows: list, counts: str) -> str:
    """Write the page with the table of all claims, which `site.js` lets one filter."""
    head = ("claim", "verdict", "what", "place", "paper", "ours")
    lines = []
    for row in rows:
        page = PAPERS[row["id"][0]][0]
        link = f'<a href="{page}.html#{row["id"].lower()}">{row["id"]}</a>'
        texts = [html.escape(str(row[name]) or "–") for name in ("claim", "place", "paper")]
        ours = html.escape(short(row["ours"]) or row["note"])
        lines.append([link, verdict(row), *texts, ours])
    toctree = "\n".join(page for page, _ in PAPERS.values())
    return f"""# The ledger

Every claim of both papers and every question of our own, with what decides it. A claim's page has the
criterion, the numbers and their intervals, the code, and the command that decides it again.

{counts}

What is stale was decided by earlier code or weights, and does not count until it is decided again.

```{{raw}} html
<div id="ledger" class="wide">
{html_table(head, lines)}
</div>
```

```{{toctree}}
:hidden:
{toctree}
```
"""


def intervals(numbers, path=()) -> list:  # of (where, mean, low, high)
    """Find the means with their bounds among a claim's numbers."""
    if isinstance(numbers, list):
        numbers = dict(enumerate(numbers))
    if not isinstance(numbers, dict):
        return []
    if {"low", "high"} <= set(numbers):
        values = [numbers.get(name) for name in ("mean", "low", "high")]
        return [(" / ".join(map(str, path)), *map(table_cell, values))]
    return [line for name, inner in numbers.items() for line in intervals(inner, (*path, name))]


def details(
    row: dict,  # of the ledger
    figures: list,  # of `Figure`, those that show it
    file_url: str,  # of its stored result
) -> str:
    """Write all about one claim: what `tell` says, intervals, numbers, code and figures."""
    fields = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in tell(row, width=10**6).splitlines()[2:])
    for name, text in fields.items():
        fields[name] = f"`{text}`" if name in ("judged by", "decide again") else escaped(text)
    fields["verdict"] = f"{verdict(row)} {escaped(row['note'].removeprefix('stale: '))}"
    if figures:
        links = [f"[{figure.title}](/paper_figures/{figure.notebook})" for figure in figures]
        fields["figures"] = "; ".join(links)
    lines = [f"({row['id']})=\n## {row['id']}: {escaped(row['claim'])}"]
    lines.append("\n".join(f":{name}: {text}" for name, text in fields.items()))
    numbers = row["evidence"].get("numbers", {})
    if found := intervals(numbers):
        cells = [[html.escape(text) for text in line] for line in found]
        table = html_table(("where", "mean", "low", "high"), cells)
        lines.append(folded(f"{len(found)} means with their intervals", table))
    if numbers:
        text = json.dumps(numbers, indent=1)
        shown = html.escape(text if len(text) <= SHOWN else text[:SHOWN] + "\n...")
        link = f'<p><a href="{file_url}">the stored result</a></p>'
        lines.append(folded("numbers", f'{link}<pre tabindex="0">{shown}</pre>'))
    if check := CLAIMS[row["id"]].check:
        code = html.escape(inspect.getsource(check.judge))
        lines.append(folded("the criterion as code", f'<pre tabindex="0">{code}</pre>'))
    return "\n\n".join(lines)


def folded(title: str, content: str) -> str:
    """Hide HTML behind its title."""
    return f'```{{raw}} html\n<details class="wide"><summary>{title}</summary>\n{content}\n</details>\n```'
