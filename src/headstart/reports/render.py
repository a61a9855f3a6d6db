"""Facts, tables and figures joined to one HTML page that needs nothing but itself.

Everything from outside passes jinja's escaping or, in figures, ``figures.plain`` and ``script_json``. A content
security policy lets only the page's own two scripts run, by their hashes.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from headstart.errors import RunError
from headstart.files import written_beside
from headstart.reports.facts import Facts, read_facts
from headstart.reports.figures import Figure
from headstart.reports.page import page_of
from headstart.reports.words import count, plural, sentence

TEMPLATES = Path(__file__).parent / "templates"


def write_report(run_dir: Path, out: Path | None = None) -> Path:
    """Write the report of a study, a pre-training or a classification run; returns the file.

    Goes to ``out``, or to report.html in ``run_dir``. RunError when ``run_dir`` holds no finished run.
    """
    page = render(read_facts(run_dir))
    target = out if out is not None else run_dir / "report.html"
    if target.is_file() and target.suffix.lower() not in (".html", ".htm"):
        raise RunError(f"{target} is there, and is no page. Choose another --out, one that ends in .html.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(target) as beside:
        beside.write_text(page, encoding="utf-8", errors="backslashreplace", newline="\n")
    return target


def render(facts: Facts) -> str:
    """The page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": count, "plural": plural, "sentence": sentence, "spec": script_json}
    plotly, script = plotly_source(), (TEMPLATES / "page.js").read_text(encoding="utf-8")
    return environment.get_template("base.html").render(
        facts=facts,
        data=facts.data,
        page=page_of(facts),
        plotly=Markup(plotly),  # noqa: S704 - our own dependency's source, checked in plotly_source
        script=Markup(script),  # noqa: S704 - our own source
        policy=content_policy(plotly, script),
    )


def plotly_source() -> str:
    """plotly.js as it may stand within a script element."""
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source.replace("\r\n", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")


def content_policy(*scripts: str) -> str:
    """A policy that loads nothing from anywhere and runs these scripts only."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii") for script in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def script_json(figure: Figure) -> Markup:
    """A figure as JSON that cannot end the script element it stands in."""
    spec: dict[str, Any] = {"data": figure.data, "layout": figure.layout, "mode_bar": figure.mode_bar}
    text = json.dumps(spec, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704
