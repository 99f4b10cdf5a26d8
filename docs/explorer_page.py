"""The explorer as a page: stored clips, dials that choose among them, and what the papers say of them."""

import html
import json
import re
import shutil
from pathlib import Path

from claim_pages import verdict
from explorer import FPS, HOLD, LIMIT, code, file_name, files_of, weights_of

from motionrepro.core import read_json
from motionrepro.profiles import results_of
from motionrepro.studies.ablations import RIVAL
from motionrepro.studies.store import training_command

FILES = "_static/explorer"  # where the clips are on the site
PANELS = dict(
    real=("Real", "the world itself"),
    ours=("Paper A", "temporal blocks"),
    reuse=("Paper B", "reuse of denoising"),
    animatediff=("AnimateDiff", "its motion modules"),
    none=("No modules", "the image model"),
)
LABELS = dict(
    rho=("Correlation of the noise, <i>ρ</i>", "frames apart", "frames alike"),
    motion=("Motion score, <i>m</i>", "still", "moving"),
    steps=("Switch step, <i>t*</i>", "no reuse", "most reuse"),
)


def stored(
    folder=None,  # of the clips; default: where `explorer.py` leaves them
) -> tuple:  # (manifest or None, in words why there is none)
    """Read the manifest of the stored clips, if they are all there and of today's weights."""
    folder = Path(folder or results_of("explorer"))
    if not (folder / "manifest.json").is_file():
        return None, "no clips are stored: make explorer draws them"
    manifest = read_json(folder / "manifest.json")
    missing = [name for name in files_of(manifest) if not (folder / name).is_file()]
    if missing or not manifest["complete"]:
        return None, "the stored clips are not complete: make explorer goes on"
    if any(manifest.get(name) is None for name in ("variants", "units", "unknown")):
        return None, "the stored clips are of an earlier form: make explorer draws them anew"
    now = weights_of(manifest["settings"]["backbone"])
    then = {part: value for part, value in manifest["weights"].items() if part != "animatediff"}
    if then != now:
        return None, "the stored clips are of earlier weights: make explorer draws them anew"
    if manifest["bytes"] > LIMIT:
        return None, f"the stored clips have {manifest['bytes']} bytes, more than {LIMIT}"
    return manifest, ""


def browser_data(manifest: dict) -> dict:
    """Choose what the page's script has to know."""
    settings = manifest["settings"]
    variants = {variant["name"]: variant for variant in manifest["variants"]}
    rhos = [
        dict(value=s["rho"], variant=s["name"]) for s in variants.values() if s["name"].startswith("rho-")
    ]
    rhos.append(dict(value=variants["ours"]["rho"], variant="ours"))
    motions = [
        dict(value=s["motion"], variant=name) for name, s in variants.items() if s["motion"] is not None
    ]
    steps = [
        dict(value=s["switch_step"], variant=name) for name, s in variants.items() if s["method"] == "reuse"
    ]
    names = ("nmi", "suggested", "grid", "field", "rho", "motion", "speedup")
    clips = {
        file: {name: facts[name] for name in names if name in facts}
        for file, facts in manifest["clips"].items()
    }
    return dict(
        files=FILES,
        frames=settings["num_frames"],
        steps=settings["steps"],
        references=settings["references"],
        size=manifest["size"],
        timesteps=manifest["timesteps"],
        units=manifest["units"],
        unknown=manifest["unknown"],
        fps=FPS,
        hold=HOLD,
        captions=[{name: caption[name] for name in ("text", "motion")} for caption in manifest["captions"]],
        rhos=sorted(rhos, key=lambda stop: stop["value"]),
        motions=motions,
        switchSteps=[dict(value=None, variant="ours"), *sorted(steps, key=lambda s: -s["value"])],
        clips=clips,
    )


def stage(manifest: dict) -> str:
    """Write the choice of captions, the panels and the controls of playing."""
    frames = manifest["settings"]["num_frames"]
    texts = [html.escape(caption["text"]) for caption in manifest["captions"]]
    options = "".join(f'<option value="{i}">{text}</option>' for i, text in enumerate(texts))
    methods = {variant["method"] for variant in manifest["variants"]}
    size = manifest["size"]
    panels = []
    for name, (title, description) in PANELS.items():
        if name not in methods:
            continue
        variant = next(s["name"] for s in manifest["variants"] if s["method"] == name)
        source = f"{FILES}/00-{variant}.webp"
        panels.append(
            f'<figure class="panel {name}" data-panel="{name}"><div class="screen" data-frame="0">'
            f'<img class="dark-light" src="{source}" width="{size * frames}" height="{size}" '
            f'alt="{title}: {texts[0]}"><svg class="arrows" viewBox="0 0 {size} {size}" aria-hidden="true">'
            f'</svg></div><figcaption><strong><span class="swatch"></span>{title}</strong> '
            f'<span class="description">{description}</span> <span class="how"></span></figcaption></figure>'
        )
    return f"""<div class="caption-choice"><label for="explorer-caption">Caption</label>
<select id="explorer-caption">{options}</select></div>
<div class="panels" style="--frames: {frames}">{"".join(panels)}</div>
<div class="transport"><button type="button" id="explorer-play">Play</button>
<label for="explorer-frame">Frame</label>
<input id="explorer-frame" type="range" min="1" max="{frames}" value="1">
<output for="explorer-frame" id="explorer-frame-shown">1 of {frames}</output></div>"""


def dial(name: str) -> str:
    """Write a dial; the script fills in its stops."""
    title, low, high = LABELS[name]
    return f"""<div class="control"><label for="explorer-{name}">{title}</label>
<output for="explorer-{name}" id="explorer-{name}-shown"></output>
<input id="explorer-{name}" type="range" min="0" max="1" step="1" value="0">
<div class="ends" aria-hidden="true"><span>{low}</span><span>{high}</span></div></div>"""


def position() -> str:
    """Write the sliders of a place in the picture."""
    rows = []
    for name, title in dict(across="Across", down="Down").items():
        rows.append(
            f'<div><label for="explorer-{name}">{title}</label> '
            f'<input id="explorer-{name}" type="range" min="1" max="8" value="1"></div>'
        )
    all_arrows = '<div><label><input id="explorer-all" type="checkbox"> arrows everywhere</label></div>'
    return f'<div class="place">{"".join(rows)}{all_arrows}</div><ul id="explorer-here" class="here"></ul>'


def facts(manifest: dict) -> str:
    """Say in a few lines what the clips are made with."""
    settings = manifest["settings"]
    made = manifest["provenance"]
    weights = manifest["weights"]
    networks = ", ".join(f"{part} {weights[part]}" for part in ("unet", "adapter") if part in weights)
    size = f"{settings['num_frames']} frames at {manifest['size']} pixels, {manifest['bytes'] / 2**20:.1f} MB"
    texts = [
        f"Stored, not computed in the browser: {len(manifest['clips'])} clips of {size}.",
        f"Base `{settings['backbone']}` ({networks}), {settings['steps']} steps, guidance "
        f"{manifest['guidance']:g}, {settings['references']} references, seed {settings['seed']}.",
        "Captions are of the world's test split: the first of each motion and direction, then the next that "
        "move.",
        f"`make explorer` draws them again; this took {manifest['seconds'] / 60:.0f} minutes at commit "
        f"{made['commit'] or 'unknown'}, {made['time'][:10]}.",
    ]
    if "animatediff" not in weights:
        texts.append(
            "AnimateDiff's modules do not ship, so they are not shown: "
            f"`{training_command([RIVAL.name])}` trains them."
        )
    if manifest["code"] != code():
        texts.append("The code that draws them has changed since.")
    return " ".join(texts)


def raw(text: str) -> str:
    """Write HTML as it is into Markdown."""
    return f"```{{raw}} html\n{text}\n```"


def box(name: str, *parts: str) -> str:
    """Put parts of a page into a box of their own."""
    return "\n\n".join([f":::::{{container}} {name}", *parts, ":::::"])


def with_verdicts(
    text: str,  # Markdown with links to claims
    rows: dict,  # id -> row of the ledger
) -> str:
    """Write the verdict behind each link to a claim."""
    return re.sub(r"\[([ABX]\d\d)\]\(#\1\)", lambda m: f"{m[0]} {verdict(rows[m[1]])}", text)


def page(
    text: str,  # of `nbs/explorer.md`, its links made
    rows: dict,  # id -> row of the ledger
    manifest: dict,
) -> str:
    """Write the page: the text, and the parts that it asks for."""
    head, *parts = re.split(r"<!-- explorer (\w+) -->\n", with_verdicts(text, rows))
    texts = dict(zip(parts[::2], map(str.strip, parts[1::2])))
    chart = '<svg id="explorer-nmi" viewBox="0 0 400 220" role="img"></svg><p id="explorer-nmi-shown"></p>'
    dials = [box("dial", raw(dial(name)), texts[name]) for name in LABELS]
    insights = [box("insight", raw(chart), texts["nmi"]), box("insight", raw(position()), texts["field"])]
    scripts = "".join(f'<script src="_static/{name}.js"></script>' for name in ("explorer/data", "explorer"))
    explorer = [
        raw("<noscript><p>The dials need JavaScript.</p></noscript>" + stage(manifest)),
        "::::::{container} dials\n\n" + "\n\n".join(dials) + "\n\n::::::",
        "::::::{container} insights\n\n" + "\n\n".join(insights) + "\n\n::::::",
    ]
    return "\n\n".join(
        [
            head.strip(),
            raw('<link rel="stylesheet" href="_static/explorer.css">'),
            ":::::::{container} explorer\n\n" + "\n\n".join(explorer) + "\n\n:::::::",
            texts["stage"],
            facts(manifest),
            raw(scripts),
        ]
    )


def front(manifest: dict) -> str:
    """Write the front page's moving pictures; those who want no motion see the last frames."""
    chosen = manifest["front"]
    caption = manifest["captions"][chosen["caption"]]["text"]
    frames = manifest["settings"]["num_frames"]
    reused = next(picture["variant"] for picture in chosen["pictures"] if picture["what"] == "reuse")
    speedup = manifest["clips"][file_name(chosen["caption"], reused)]["speedup"]
    step = next(variant["switch_step"] for variant in manifest["variants"] if variant["name"] == reused)
    references = manifest["settings"]["references"]
    titles = dict(
        real=("The world's own clip", f"{frames} frames that the world drew for the caption"),
        ours=("Paper A", f"{frames} frames by the small model with paper A's temporal blocks"),
        reuse=(
            f"Paper B, ideal speed-up {speedup:.2f}",
            f"the same with the last {frames - references} frames begun at step {step} by paper B's reuse",
        ),
    )
    figures = []
    for picture in chosen["pictures"]:
        title, text = titles[picture["what"]]
        moving, still = (f"{FILES}/{picture[kind]}" for kind in ("moving", "still"))
        figures.append(
            f'<figure><picture><source media="(prefers-reduced-motion: reduce)" srcset="{still}">'
            f'<img class="dark-light" src="{moving}" data-still="{still}" width="{manifest["size"]}" '
            f'height="{manifest["size"]}" alt="{text}: {html.escape(caption)}"></picture>'
            f"<figcaption>{title}</figcaption></figure>"
        )
    return raw(f'<div class="moving">{"".join(figures)}<p>“{html.escape(caption)}”</p></div>')


def write_files(
    folder: Path,  # of the site's sources
    clips,  # folder of the clips; None is the default
    manifest: dict,
):
    """Put clips and data where Sphinx takes static files from."""
    source = Path(clips or results_of("explorer"))
    target = folder / FILES
    target.mkdir(parents=True)
    for name in files_of(manifest):
        shutil.copy(source / name, target / name)
    data = json.dumps(browser_data(manifest), separators=(",", ":"))
    (target / "data.js").write_text(f"window.explorerData = {data};\n", encoding="utf-8")
