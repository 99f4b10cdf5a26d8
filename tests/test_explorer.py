"""The explorer: a small set of clips is drawn, and the page made of it is tried in a browser."""

import functools
import importlib
import json
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

DIALS = dict(rho="ours", motion="ours", steps="reuse")  # dial -> panel that it turns


@pytest.fixture(scope="session")
def modules(root):
    """The scripts `explorer`, `explorer_page`, `pages` and `check_docs`, by name."""
    names = ("explorer", "explorer_page", "pages", "check_docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "tools"))
        patch.syspath_prepend(str(root / "docs"))
        yield {name: importlib.import_module(name) for name in names}


@pytest.fixture(scope="session")
def settings(modules):
    """Few values of each dial, few frames and few steps."""
    slices = dict(rhos=(0.0, 0.6, 0.95), motions=(0.0, 0.5, 1.0), switch_steps=(400, 1))
    return modules["explorer"].Settings(captions=2, num_frames=4, references=2, steps=3, **slices)


@pytest.fixture(scope="session")
def animatediff(tmp_path_factory):
    """The folder of AnimateDiff's modules with random weights."""
    import torch

    from motionrepro.backbones import load_backbone
    from motionrepro.training.adapter import AdapterRecipe, make_adapter

    torch.manual_seed(0)
    recipe = AdapterRecipe(method="animatediff", adapter=dict(motion_num_attention_heads=2))
    adapter = make_adapter(recipe, load_backbone("tiny").unet)
    for name, parameter in adapter.named_parameters():
        if "proj_out" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    folder = tmp_path_factory.mktemp("animatediff")
    adapter.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clips(modules, settings, animatediff, tmp_path_factory):
    """The folder of the small set."""
    folder = tmp_path_factory.mktemp("clips")
    modules["explorer"].draw_all(folder, settings, animatediff)
    return folder


@pytest.fixture(scope="session")
def manifest(clips):
    return json.loads((clips / "manifest.json").read_text())


def test_captions_are_the_first_of_each_kind_and_then_those_that_move(modules):
    from motionrepro.data.world import sample_scene

    explorer = modules["explorer"]
    chosen = explorer.choose_scenes(explorer.Settings())
    scenes = [sample_scene(i, "test", 8, 0) for i in range(1000)]
    kinds = {(scene.motion, scene.direction) for scene in scenes}
    firsts = {min(i for i, s in enumerate(scenes) if (s.motion, s.direction) == kind) for kind in kinds}
    assert len(set(chosen)) == 12 and firsts <= set(chosen) and chosen == sorted(chosen)
    rest = [i for i, s in enumerate(scenes) if s.motion == "moves" and i not in firsts]
    assert sorted(set(chosen) - firsts) == rest[: 12 - len(firsts)]


def test_the_full_set_has_enough_values(modules):
    explorer = modules["explorer"]
    settings = explorer.default_settings()
    steps = explorer.variants_of(settings, list(range(1000, 0, -50)), True)
    assert settings.captions >= 12 and len(settings.rhos) >= 6 and len(settings.motions) >= 3
    assert min(settings.rhos) == 0 and max(settings.rhos) == 0.95
    assert min(settings.motions) == 0 and max(settings.motions) == 1
    assert len([s for s in steps if s.method == "reuse"]) >= 4  # and "full"


def test_every_clip_is_a_strip_and_is_analysed(clips, manifest, settings):
    from PIL import Image

    variants = [variant["name"] for variant in manifest["variants"]]
    assert {"real", "ours", "none", "animatediff", "rho-0", "rho-0.95", "motion-0", "motion-1"} < set(
        variants
    )
    assert sum(variant["method"] == "reuse" for variant in manifest["variants"]) == 2
    assert set(manifest["clips"]) == {f"{i:02d}-{variant}.webp" for i in range(2) for variant in variants}
    for name, known in manifest["clips"].items():
        assert Image.open(clips / name).size == (4 * 64, 64), name
        assert len(known["nmi"]) == settings.steps and all(0 <= v <= 1 for v in known["nmi"][1:])
        assert known["suggested"] in manifest["timesteps"]
    assert manifest["complete"] and manifest["bytes"] == sum(p.stat().st_size for p in clips.glob("*.webp"))
    assert manifest["weights"]["unet"] and manifest["weights"]["animatediff"]


def test_each_setting_gives_another_clip(clips, manifest):
    own = {i: caption["motion"] for i, caption in enumerate(manifest["captions"])}
    for i in own:
        same = {f"{i:02d}-motion-{own[i]:g}.webp"}  # the same as `ours`, if a stop is the caption's own
        contents = {(clips / name).read_bytes() for name in manifest["clips"] if name.startswith(f"{i:02d}-")}
        names = [name for name in manifest["clips"] if name.startswith(f"{i:02d}-") and name not in same]
        assert len(contents) == len(names)


def test_noise_is_the_same_but_for_its_correlation(modules, settings):
    import torch

    renderer = modules["explorer"].ClipRenderer(settings)
    apart, alike = renderer.noise(3, 0.0), renderer.noise(3, 0.95)
    assert torch.equal(apart[:, 0], alike[:, 0]) and not torch.equal(apart[:, 1], alike[:, 1])
    assert torch.equal(apart, renderer.noise(3, 0.0)) and not torch.equal(apart, renderer.noise(4, 0.0))


def test_the_real_clips_field_is_the_worlds(modules, settings):
    """In a pan, everything has come as far since the first frame as the camera's velocity says."""
    explorer = modules["explorer"]
    renderer = explorer.ClipRenderer(replace(settings, num_frames=8))
    scenes = [(i, renderer.world.scene(i)) for i in range(60)]
    index, scene = max((s for s in scenes if s[1].motion == "pans"), key=lambda s: s[1].velocity)
    _, (x, y) = scene.screen_velocity
    field = renderer.true_field(index, 8)
    assert field.shape == (7, 2, 8, 8)
    for frame in (1, 7):
        moved = field[frame - 1, :, 4, 4].tolist()
        assert moved == pytest.approx([64 * frame * x, 64 * frame * y], abs=0.5)
    assert max(map(abs, moved)) > 10


def test_a_field_is_read_as_it_was_written(modules):
    import base64

    import numpy as np
    import torch

    explorer = modules["explorer"]
    field = torch.tensor([[[[1.5, -2.24]], [[torch.nan, 100.0]]]])
    read = np.frombuffer(base64.b64decode(explorer.packed(field)), np.int8).reshape(1, 2, 1, 2)
    assert read.tolist() == [[[[3, -4]], [[explorer.UNKNOWN, 127]]]]


def test_it_goes_on_where_it_stopped_and_draws_the_same(
    modules, clips, manifest, settings, animatediff, tmp_path
):
    folder = tmp_path / "clips"
    shutil.copytree(clips, folder)
    lost = folder / "01-rho-0.webp"
    lost.unlink()
    kept = {p: p.stat().st_mtime_ns for p in folder.glob("0?-*.webp") if "rho-0.webp" not in p.name}
    again = modules["explorer"].draw_all(folder, settings, animatediff)
    assert lost.read_bytes() == (clips / lost.name).read_bytes()
    assert kept == {p: p.stat().st_mtime_ns for p in kept}
    assert again["clips"] == manifest["clips"]


def test_clips_of_other_settings_are_deleted(modules, clips, manifest, settings, tmp_path):
    explorer = modules["explorer"]
    folder = tmp_path / "clips"

    def begun(about):
        shutil.copytree(clips, folder, dirs_exist_ok=True)
        store = explorer.ClipStore(folder)
        store.begin(about)
        return store

    about = explorer.identity(settings, manifest["weights"])
    assert begun(about).has("00-real.webp")
    others = [about | {name: "another"} for name in ("code", "units", "unknown", "quality")]
    others += [
        explorer.identity(settings, {}),
        explorer.identity(replace(settings, seed=1), manifest["weights"]),
    ]
    for other in others:
        assert not begun(other).clips and not list(folder.glob("*.webp"))


def contents(folder):
    """The bytes of a set's files."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in (".webp", ".json")}


def test_stored_clips_outlast_modules_that_cannot_be_loaded(modules, clips, settings, tmp_path):
    from motionrepro.core import UserError

    draw_all = modules["explorer"].draw_all
    folder = tmp_path / "clips"
    shutil.copytree(clips, folder)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no modules")
    for name in ("mistyped", "empty"):
        with pytest.raises(UserError, match="no [*].safetensors is there"):
            draw_all(folder, settings, tmp_path / name)
    with pytest.raises(UserError, match="broken"):
        draw_all(folder, settings, tmp_path / "broken")
    assert contents(folder) == contents(clips)


def test_animatediffs_clips_are_deleted_only_when_asked(modules, clips, settings, tmp_path, monkeypatch):
    from motionrepro.core import UserError

    explorer = modules["explorer"]
    folder = tmp_path / "clips"
    shutil.copytree(clips, folder)
    with pytest.raises(UserError, match="AnimateDiff's clips are stored there") as refused:
        explorer.draw_all(folder, settings)
    assert "--without-animatediff" in refused.value.hint
    assert contents(folder) == contents(clips)

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(explorer, "draw_missing", interrupted)
    with pytest.raises(KeyboardInterrupt):
        explorer.draw_all(folder, settings, drop_animatediff=True)
    assert not list(folder.glob("*.webp"))
    variants = json.loads((folder / "manifest.json").read_text())["variants"]
    assert "animatediff" not in [variant["name"] for variant in variants]


def test_an_interrupted_set_has_no_picture_that_is_not_listed(modules, settings, tmp_path, monkeypatch):
    import torch

    explorer = modules["explorer"]

    class Renderer:
        def draw(self, variant, scenes):
            return [(torch.zeros(4, 3, 8, 8), {}) for _ in scenes]

        def analyse(self, variant, scene, frames):
            return {}

    write = explorer.ClipStore.picture

    def write_and_stop(store, name, image, **options):
        write(store, name, image, **options)
        if name.startswith("01-"):
            raise KeyboardInterrupt

    monkeypatch.setattr(explorer.ClipStore, "picture", write_and_stop)
    store = explorer.ClipStore(tmp_path)
    store.begin(explorer.identity(settings, {}))
    with pytest.raises(KeyboardInterrupt):
        explorer.draw_missing(store, Renderer(), [explorer.Variant("ours")], [5, 6, 7])
    pictures = {p.name for p in tmp_path.glob("*.webp")}
    assert pictures == {"00-ours.webp", "01-ours.webp"}
    assert pictures <= set(explorer.files_of(json.loads((tmp_path / "manifest.json").read_text())))


def test_the_hash_of_the_code_covers_the_script(modules, monkeypatch):
    from motionrepro.provenance import definitions_used

    explorer = modules["explorer"]
    monkeypatch.setattr(explorer, "code_hash", definitions_used)
    own = {name for module, name in explorer.code() if module == "explorer"}
    functions = {"ClipRenderer", "strip", "packed", "Variant", "variants_of", "choose_scenes"}
    assert functions | {"UNITS", "UNKNOWN"} <= own


def test_too_many_bytes_are_refused(modules, clips, settings, animatediff, tmp_path, monkeypatch):
    from motionrepro.core import UserError

    folder = tmp_path / "clips"
    shutil.copytree(clips, folder)
    monkeypatch.setattr(modules["explorer"], "LIMIT", 1000)
    with pytest.raises(UserError, match="allowed are"):
        modules["explorer"].draw_all(folder, settings, animatediff)


def test_the_page_needs_whole_clips_of_todays_weights(modules, clips, tmp_path):
    page = modules["explorer_page"]
    assert page.stored(clips)[0]
    folder = tmp_path / "clips"
    assert "no clips are stored" in page.stored(folder)[1]

    def reason(**changes):
        shutil.copytree(clips, folder, dirs_exist_ok=True)
        there = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(there | changes))
        return page.stored(folder)[1]

    weights = json.loads((clips / "manifest.json").read_text())["weights"]
    assert reason() == ""
    assert "not complete" in reason(complete=False)
    assert "earlier weights" in reason(weights=weights | dict(unet="0"))
    assert "earlier form" in reason(units=None)
    assert "bytes" in reason(bytes=9 * 2**20)
    (folder / "00-real.webp").unlink()
    assert "not complete" in page.stored(folder)[1]


def test_the_page_reads_fields_in_the_units_they_were_stored_in(modules, manifest):
    data = modules["explorer_page"].browser_data(manifest | dict(units=7, unknown=-5))
    assert (data["units"], data["unknown"]) == (7, -5)


def test_the_command_that_is_shown_trains_animatediff(modules, manifest, tmp_path, monkeypatch):
    """The command is run but for its trainings; what it would train lies where it is looked for."""
    import re

    from conftest import cli

    from motionrepro.studies import ablations

    weights = {part: value for part, value in manifest["weights"].items() if part != "animatediff"}
    facts = modules["explorer_page"].facts(manifest | dict(weights=weights))
    (command,) = re.findall(r"`motionrepro (train [^`]*)`", facts)
    folders = []
    monkeypatch.setattr(ablations, "perform", lambda run, _, place: folders.append(place.folder(run)))
    assert cli(command, "--checkpoints", tmp_path, "--out", tmp_path / "results") == 0
    (folder,) = set(folders)
    assert ablations.trained_rival(tmp_path) is None
    (folder / "adapter").mkdir(parents=True)
    assert ablations.trained_rival(tmp_path) == folder / "adapter"


def test_a_site_without_clips_has_no_explorer(modules, tmp_path, capsys):
    site = modules["pages"].Site(tmp_path / "site", tmp_path / "none")
    site.explorer()
    assert "no explorer: no clips are stored" in capsys.readouterr().out
    assert not (tmp_path / "site").exists()
    assert "explorer" not in modules["pages"].front_toctrees(False)
    assert "explorer" in modules["pages"].front_toctrees(True)
    assert site.with_claims("a<!-- moving pictures -->b") == "ab"


# In a browser


@pytest.fixture(scope="session")
def site(root, modules, clips, tmp_path_factory):
    """The folder of a site that has the front page's pictures and the explorer."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed: make docs does that")
    import re

    folder = tmp_path_factory.mktemp("site")
    pages = modules["pages"]
    made = pages.Site(folder / "source", clips)
    made.explorer()
    text = (folder / "source" / "explorer.md").read_text()
    claims = "\n\n".join(f"({id})=\n## {id}" for id in sorted(set(re.findall(r"\(#([ABX]\d\d)\)", text))))
    front = made.with_claims("# Front\n\n<!-- moving pictures -->")
    made.write("index.md", f"{front}\n\n{claims}\n\n```{{toctree}}\nexplorer\n```\n")
    command = ["-m", "sphinx", "-q", "-W", "-E", "-c", "docs", folder / "source", folder / "html"]
    subprocess.run([sys.executable, *map(str, command)], cwd=root, check=True)
    return folder / "html"


@pytest.fixture(scope="session")
def address(site):
    """Where the site is served."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def open_page(browser, address):
    """A function that opens a page; afterwards nothing was fetched from elsewhere, and nothing complained."""
    contexts = []
    faults = []

    def hear(message):
        if message.type == "error":
            faults.append(f"{message.text} {message.location}")

    def lose(request):
        if request.failure != "net::ERR_ABORTED":  # as when a clip is replaced before it is there
            faults.append(f"failed: {request.url} {request.failure}")

    def opened(name="explorer.html", width=1280, height=900, **options):
        context = browser.new_context(viewport=dict(width=width, height=height), **options)
        contexts.append(context)
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("requestfailed", lose)
        page.on("request", lambda request: request.url.startswith(address) or faults.append(request.url))
        page.goto(f"{address}/{name}", wait_until="load")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not faults


def sources(page) -> dict:  # panel -> name of the clip that it shows
    page.wait_for_function("""[...document.querySelectorAll(".panel img")].every((img) => img.complete)""")
    script = """() => Object.fromEntries([...document.querySelectorAll(".panel")].map((panel) =>
        [panel.dataset.panel, panel.querySelector("img").src.split("/").pop()]))"""
    return page.evaluate(script)


def turn(page, name, end, how):
    """Turn a dial to its lowest or highest stop."""
    dial = page.locator(f"#explorer-{name}")
    if how == "keyboard":
        dial.focus()
        page.keyboard.press("Home" if end == "low" else "End")
        return
    dial.scroll_into_view_if_needed()
    box = dial.bounding_box()
    place = (box["x"] + (3 if end == "low" else box["width"] - 3), box["y"] + box["height"] / 2)
    if how == "mouse":
        page.mouse.click(*place)
    else:
        page.touchscreen.tap(*place)


@pytest.mark.parametrize("how", ["mouse", "keyboard", "touch"])
def test_turning_a_dial_changes_the_clip_that_is_shown(open_page, how):
    phone = dict(width=390, height=844, has_touch=True, is_mobile=True)
    page = open_page(**(phone if how == "touch" else {}))
    start = sources(page)
    assert len(start) == 5 and len(set(start.values())) == 5
    seen = {}
    for name, panel in DIALS.items():
        for end in ("low", "high"):
            turn(page, name, end, how)
            now = sources(page)
            seen[name, end] = now[panel]
            others = {other: clip for other, clip in now.items() if other not in ("ours", "reuse")}
            assert others == {other: start[other] for other in others}
            assert page.locator(f".panel.{panel} img").evaluate(
                "(i) => i.decode().then(() => i.naturalWidth)"
            )
    for name in DIALS:
        assert seen[name, "low"] != seen[name, "high"], name
    assert seen["rho", "low"] == "00-rho-0.webp" and seen["rho", "high"] == "00-rho-0.95.webp"
    assert seen["motion", "high"] == "00-motion-1.webp"
    assert seen["steps", "low"] == "00-ours.webp" and seen["steps", "high"].startswith("00-reuse-")


def test_every_stop_of_a_dial_is_another_clip(open_page):
    for name, panel in DIALS.items():
        page = open_page()
        dial = page.locator(f"#explorer-{name}")
        dial.focus()
        page.keyboard.press("Home")
        shown = [sources(page)[panel]]
        said = [dial.get_attribute("aria-valuetext")]
        for _ in range(int(dial.get_attribute("max"))):
            page.keyboard.press("ArrowRight")
            shown.append(sources(page)[panel])
            said.append(dial.get_attribute("aria-valuetext"))
        assert len(shown) >= 3 and len(set(shown)) == len(set(said)) == len(shown), (name, shown, said)


def test_one_dial_at_a_time(open_page):
    page = open_page()
    turn(page, "rho", "high", "keyboard")
    assert "at rest" in page.locator("#explorer-motion-shown").inner_text()
    turn(page, "motion", "high", "keyboard")
    assert sources(page)["ours"] == "00-motion-1.webp"
    assert page.locator("#explorer-rho-shown").inner_text().startswith("0.6 (at rest")
    assert page.locator(".panel.ours .how").inner_text() == "ρ 0.6, m 1"


def test_another_caption_changes_every_clip(open_page, manifest):
    page = open_page()
    turn(page, "rho", "high", "keyboard")
    page.locator("#explorer-caption").select_option("1")
    now = sources(page)
    assert all(name.startswith("01-") for name in now.values())
    assert now["ours"] == "01-rho-0.95.webp"  # the dial stays where it is
    assert manifest["captions"][1]["text"] in page.locator(".panel.real img").get_attribute("alt")


WATCH = """async (count) => {
  const seen = [];
  while (seen.length < count) {
    await new Promise(requestAnimationFrame);
    const screens = [...document.querySelectorAll(".screen")];
    seen.push(screens.map((screen) => {
      const image = screen.querySelector("img");
      const moved = new DOMMatrix(getComputedStyle(image).transform).m41 / screen.clientWidth;
      return [Number(screen.dataset.frame), Math.round(-moved)];
    }));
  }
  return seen;
}"""


def test_all_clips_play_in_step(open_page):
    page = open_page()
    seen = page.evaluate(WATCH, 90)
    for screens in seen:
        assert len({tuple(screen) for screen in screens}) == 1 and screens[0][0] == screens[0][1]
    assert {screens[0][0] for screens in seen} == {0, 1, 2, 3}


def test_it_can_be_stopped_and_moved_by_hand(open_page):
    page = open_page()
    button = page.locator("#explorer-play")
    assert button.inner_text() == "Pause"
    button.focus()
    page.keyboard.press("Enter")
    assert button.inner_text() == "Play"
    assert len({screens[0][0] for screens in page.evaluate(WATCH, 40)}) == 1
    turn(page, "frame", "low", "mouse")
    assert page.locator("#explorer-frame-shown").inner_text() == "1 of 4"
    turn(page, "frame", "high", "keyboard")
    assert {screen[0] for screen in page.evaluate(WATCH, 1)[0]} == {3}


def test_who_wants_less_motion_gets_still_pictures(open_page):
    page = open_page(reduced_motion="reduce")
    assert page.locator("#explorer-play").inner_text() == "Play"
    assert len({screens[0][0] for screens in page.evaluate(WATCH, 40)}) == 1
    front = open_page("index.html", reduced_motion="reduce")
    shown = front.evaluate("() => [...document.querySelectorAll('.moving img')].map((i) => i.currentSrc)")
    assert len(shown) == 3 and all(source.endswith("-still.webp") for source in shown)


def test_the_place_in_the_field_follows_pointer_and_keys(open_page):
    page = open_page(reduced_motion="reduce")
    across, down = page.locator("#explorer-across"), page.locator("#explorer-down")
    box = page.locator(".panel.reuse .screen").bounding_box()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.1 * box["height"])
    assert (across.input_value(), down.input_value()) == ("8", "1")
    corners = page.locator(".arrows rect.line").evaluate_all("(all) => all.map((r) => r.getAttribute('x'))")
    assert corners == ["56"] * 5
    across.focus()
    page.keyboard.press("ArrowLeft")
    corners = page.locator(".arrows rect.line").evaluate_all("(all) => all.map((r) => r.getAttribute('x'))")
    assert corners == ["48"] * 5
    assert page.locator("#explorer-here li").count() == 5
    few = page.locator(".arrows path").count()
    page.locator("#explorer-all").check()
    assert page.locator(".arrows path").count() > few


def test_arrows_are_those_of_the_manifest(open_page, manifest):
    """The list beside the sliders, against the bytes of the manifest."""
    import base64

    import numpy as np

    page = open_page(reduced_motion="reduce")
    known = manifest["clips"]["00-none.webp"]
    field = np.frombuffer(base64.b64decode(known["field"]), np.int8).reshape(3, 2, *known["grid"]) / 2
    row, column = np.unravel_index(np.abs(field[-1]).max(0).argmax(), known["grid"])
    for name, value in dict(across=column, down=row).items():
        page.locator(f"#explorer-{name}").fill(str(value + 1))
    x, y = field[-1, :, row, column]
    words = [
        f"{int(abs(v) + 0.5)} px {side[int(v > 0)]}"
        for v, side in ((x, ("left", "right")), (y, ("up", "down")))
    ]
    expected = ", ".join(word for word in words if not word.startswith("0 ")) or "at rest"
    assert page.locator("#explorer-here li", has_text="No modules").inner_text() == f"No modules: {expected}"


def test_the_curve_marks_the_switch_step(open_page, manifest):
    page = open_page(reduced_motion="reduce")
    marker = page.locator("#explorer-nmi .marker")
    turn(page, "steps", "low", "keyboard")
    assert marker.count() == 0
    places = {}
    for variant in sorted(
        (s for s in manifest["variants"] if s["method"] == "reuse"), key=lambda s: -s["switch_step"]
    ):
        page.keyboard.press("ArrowRight")
        places[variant["switch_step"]] = float(marker.get_attribute("x1"))
        said = page.locator("#explorer-nmi-shown").inner_text()
        value = manifest["clips"]["00-ours.webp"]["nmi"][manifest["timesteps"].index(variant["switch_step"])]
        assert f"At t* = {variant['switch_step']}" in said and f"{value:.2f}" in said
    first = manifest["timesteps"][0]
    for step, place in places.items():
        assert place == pytest.approx(36 + (1 - step / first) * (392 - 36))


def test_the_front_pages_pictures_move_and_stop(open_page, manifest):
    page = open_page("index.html")
    images = page.locator(".moving img")
    files = [source.split("/")[-1] for source in images.evaluate_all("(all) => all.map((i) => i.src)")]
    assert files == ["front-real.webp", "front-ours.webp", "front-reuse.webp"]
    caption = manifest["captions"][manifest["front"]["caption"]]["text"]
    assert all(caption in text for text in images.evaluate_all("(all) => all.map((i) => i.alt)"))
    page.get_by_role("button", name="Pause").click()
    assert all("-still" in source for source in images.evaluate_all("(all) => all.map((i) => i.src)"))
    page.get_by_role("button", name="Play").click()
    assert not any("-still" in source for source in images.evaluate_all("(all) => all.map((i) => i.src)"))


def test_front_pictures_have_all_frames(clips, manifest):
    from PIL import Image

    for picture in manifest["front"]["pictures"]:
        assert Image.open(clips / picture["moving"]).n_frames == 4
        assert getattr(Image.open(clips / picture["still"]), "n_frames", 1) == 1


@pytest.mark.parametrize("name", ["explorer.html", "index.html"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_is_accessible(open_page, name, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = open_page(name, width=width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    page.evaluate(
        "Promise.all(document.getAnimations().map(one => one.finished))"
    )  # colours that still change
    found = axe.Axe().run(page, options=dict(preload=False)).response["violations"]
    serious = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    assert not serious, [
        (fault["id"], node["html"], node["any"]) for fault in serious for node in fault["nodes"]
    ]


def test_the_site_has_no_faults(modules, site):
    assert modules["check_docs"].check(site) == []
