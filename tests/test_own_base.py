"""The paper profile on a base of one's own: a variable names it, and what counts as ours is its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_bases import perturbed

from motionrepro.backbones import PARTS, load_backbone
from motionrepro.core import assets_path, read_json, write_json
from motionrepro.profiles import checkout
from motionrepro.training.adapter import RECIPES, AdapterRecipe, make_adapter

NOTEBOOKS = sorted((checkout() / "paper_figures").glob("*.ipynb"))
# rows that only stored trainings of the embedded base fill
STORED = {
    "A-table1": ("ours:", "AnimateDiff:"),
    "A-table2": ("λ = 2:", "λ = 0:"),
    "A-table3": ("ρ = 0.4:",),
    "A-table4": ("base quality",),
}
# claims that only stored ways of making clips decide
CLAIMS = ("B09", "B12", "B13", "B20", "X04", "X05", "X08")
# rows of clips that are drawn on the spot
DRAWN = {"A-table1": "ours, drawn here", "A-table3": "ρ = 0.6, ours, drawn here"}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder in diffusers' layout, of Stable Diffusion 2.1's kind in a small size, and an adapter."""
    from diffusers import UNet2DConditionModel

    from motionrepro.temporal.adapter import TemporalAdapter

    folder = tmp_path_factory.mktemp("own base")
    for part in PARTS:
        shutil.copytree(assets_path() / "tiny" / part, folder / part)
    config = load_backbone("tiny", device="cpu").unet.config
    kind = dict(
        use_linear_projection=True, attention_head_dim=[1, 2, 4, 4], block_out_channels=[32, 64, 128, 128]
    )
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_config(config, **kind)
    unet.save_pretrained(folder / "unet")
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    write_json(
        folder / "scheduler" / "scheduler_config.json", scheduler | dict(prediction_type="v_prediction")
    )
    adapter = TemporalAdapter.for_unet(unet, **RECIPES["tiny"].adapter)
    perturbed(adapter, "own adapter", scale=0.02).save_pretrained(folder / "adapter")
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two real clips."""
    from motionrepro.data.video import write_video
    from motionrepro.data.world import World

    folder = tmp_path_factory.mktemp("own clips")
    for i in range(2):
        write_video(folder / f"{i}.mp4", World("validation", 96, 20, 2)[i]["video"])
    return folder


def draw(notebooks, base, clips, out, **more):
    """Draw figures in the paper profile, small; the tables that they leave, by figure."""
    variables = dict(
        MOTIONREPRO_PROFILE="paper",
        MOTIONREPRO_BACKBONE=str(base),
        MOTIONREPRO_DATA=str(clips),
        MOTIONREPRO_FIGURES=str(out),
        MPLBACKEND="agg",
    )
    script = Path(__file__).with_name("figures_on_own_base.py")
    command = [sys.executable, str(script), *map(str, notebooks)]
    done = subprocess.run(command, env=os.environ | variables | more, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    drawn = [line.removeprefix("drawn: ") for line in done.stdout.splitlines() if line.startswith("drawn: ")]
    assert drawn == [n.name for n in notebooks]
    return {file.stem: read_json(file) for file in sorted(out.glob("*.json"))}


def check(tables, base):
    """Check that tables say which base they are of, and that no stored number of another is among them."""
    assert {table["config"]["profile"]["backbone"] for table in tables.values()} == {str(base)}
    rows = {figure: table["values"]["rows"] for figure, table in tables.items()}
    for figure, beginnings in STORED.items():
        for beginning in beginnings if figure in rows else ():
            found = [row["ours"] for row in rows[figure] if row["what"].startswith(beginning)]
            assert found and all(ours == "not measured yet" for ours in found), (figure, beginning)
    judged = [row for table in rows.values() for row in table if row.get("claim") in CLAIMS]
    assert all(row["verdict"] == "open" and "not measured yet" in row["ours"] for row in judged)
    for figure, beginning in DRAWN.items():
        found = [row["ours"] for row in rows.get(figure, ()) if row["what"].startswith(beginning)]
        assert bool(found) == (figure in rows) and all(isinstance(ours, list) for ours in found)


def test_tables_show_no_stored_number_of_another_base(base, clips, tmp_path):
    chosen = [n for n in NOTEBOOKS if n.name[:2] in ("13", "15")]
    tables = draw(chosen, base, clips, tmp_path)
    assert list(tables) == ["A-table2", "A-table4"]
    check(tables, base)


@pytest.mark.slow
def test_every_figure_is_drawn_on_a_base_of_ones_own(base, clips, tmp_path):
    tables = draw(NOTEBOOKS, base, clips, tmp_path)
    assert {*STORED, *DRAWN} <= set(tables)
    claims = {row.get("claim") for table in tables.values() for row in table["values"]["rows"]}
    assert set(CLAIMS) <= claims
    check(tables, base)


@pytest.mark.slow
def test_published_modules_have_a_row_of_clips_drawn_on_the_spot(base, clips, tmp_path):
    unet = load_backbone(str(base), device="cpu").unet
    modules = make_adapter(AdapterRecipe(method="animatediff"), unet)
    perturbed(modules, "published", scale=0.02).save_pretrained(tmp_path / "modules")
    chosen = [n for n in NOTEBOOKS if n.name[:2] in ("12", "14")]
    variables = dict(MOTIONREPRO_ANIMATEDIFF=str(tmp_path / "modules"))
    tables = draw(chosen, base, clips, tmp_path / "figures", **variables)
    for figure, name in {"A-table1": "AnimateDiff (published)", "A-table3": "animatediff-published"}.items():
        found = [row["ours"] for row in tables[figure]["values"]["rows"] if name in row["what"]]
        assert found and all(isinstance(ours, list) for ours in found), (figure, found)
