"""The ledger: what is stored is told as it is, stale rows are marked, and judges can contradict."""

import importlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from motionrepro import claims
from motionrepro.claims import check as base
from motionrepro.claims import paper_a, paper_b
from motionrepro.core import read_json, write_json
from motionrepro.studies.costs import QUALITY

ledger_module = importlib.import_module("motionrepro.claims.ledger")


def stored(folder=None):
    return {p.stem: read_json(p) for p in sorted((folder or claims.shipped_results()).glob("*.json"))}


def rows_by_id(**options):
    return {row["id"]: row for row in claims.ledger(**options)}


# what is stored


def test_results_lie_in_the_package_alone(root):
    assert claims.results_folder() == claims.shipped_results() == root / "motionrepro" / "assets" / "claims"
    assert not (root / "results" / "claims").exists()
    assert stored().keys() <= claims.CHECKS.keys()


def test_every_check_has_a_result_or_says_why_not():
    for id, row in rows_by_id().items():
        if id not in claims.CHECKS:
            assert (row["verdict"], row["note"], row["evidence"]) == ("open", "no check yet", {})
        elif not row["evidence"]:
            assert (row["verdict"], row["note"]) == ("open", "not computed yet")
        else:
            assert row["verdict"] in claims.DECISIONS and row["ours"] and row["evidence"]["seed"] is not None
            # without a measurement nothing is decided; A15 needs weights whatever is measured
            undecided = row["verdict"] in ("open", "needs weights") and "not measured yet" in row["ours"]
            assert row["evidence"]["n"] > 0 or undecided, id


def test_current_rows_have_the_verdict_of_their_numbers():
    for id, row in rows_by_id().items():
        if row["evidence"] and not row["stale"]:
            check = claims.CHECKS[id]
            assert row["verdict"] == check.judge(row["evidence"]["numbers"]), id
            assert row["evidence"]["criterion"] == check.criterion and row["note"] == ""


def test_what_arithmetic_decides_is_current():
    """The papers' own tables do not change, and nothing has to be measured."""
    stale = {row["id"]: row["note"] for row in claims.ledger(["B14", "B15", "B17", "X09"]) if row["note"]}
    assert not stale, f"decide them again: motionrepro claims {' '.join(stale)} --decide"


def test_stale_rows_are_marked_and_not_counted_as_current():
    rows = claims.ledger()
    stale = [row for row in rows if row["stale"]]
    table = claims.format_rows(rows, width=150)
    for row in rows:
        assert row["stale"] == row["note"].startswith("stale: ") == (f"* {row['id']} is stale" in table)
    count = table.partition(f"{len(rows)} claims: ")[2].partition("* ")[0]
    current = count.partition(";")[0]
    assert sum(int(part.split()[0]) for part in current.split(", ")) == len(rows) - len(stale)
    assert not stale or f"{len(stale)} more" in count


def test_a_stale_row_shows_what_was_stored(tmp_path):
    result = stored()["B14"]
    older = result | dict(
        values=result["values"] | dict(ours="as it was", verdict="exact"),
        config=result["config"] | dict(code="0" * 12),
    )
    write_json(tmp_path / "B14.json", older)
    (row,) = claims.ledger("B14", folder=tmp_path)
    assert (row["verdict"], row["ours"], row["stale"]) == ("exact", "as it was", True)
    assert row["note"] == "stale: the code that measures it has changed since it was decided"
    assert "exact (stale: the code" in claims.tell(row).replace("\n", " ")


def test_results_say_where_they_come_from():
    for id, result in stored().items():
        assert result["config"]["criterion"] and result["config"]["profile"] == "tiny"
        assert result["config"]["claim"] == id and result["values"]["verdict"] in claims.DECISIONS
        assert {"commit", "versions", "device", "time"} <= result["provenance"].keys()
        assert result["seconds"] is not None


def test_the_table_names_results_that_no_commit_describes(tmp_path):
    for id, commit in (("A01", "0123456789ab"), ("B14", "0123456789ab+")):
        result = stored()[id]
        came = result["provenance"] | dict(commit=commit)
        write_json(tmp_path / f"{id}.json", result | dict(provenance=came))
    table = claims.table(["A01", "B14"], folder=tmp_path)
    assert table.endswith("computed with uncommitted changes in the checkout: B14")


# what makes a result stale


def test_other_weights_make_a_result_stale(tmp_path, monkeypatch):
    for id in ("B01", "B05"):  # as if both had just been decided
        now = ledger_module._depends_on(claims.CLAIMS[id], "tiny")
        write_json(tmp_path / f"{id}.json", stored()[id] | dict(config=now))
    assert not any(row["stale"] for row in claims.ledger(["B01", "B05"], folder=tmp_path))
    monkeypatch.setattr(paper_b, "weights_fingerprint", lambda *which: "other weights")
    rows = claims.ledger(["B01", "B05"], folder=tmp_path)
    assert {row["note"] for row in rows} == {"stale: `weights` has changed since it was decided"}


def test_other_code_makes_a_result_stale(monkeypatch):
    before = rows_by_id()
    true = base.code_hash
    measure = claims.CHECKS["A09"].measure
    monkeypatch.setattr(base, "code_hash", lambda *f: "another hash" if measure in f else true(*f))
    fresh = {id: replace(c, check=c.check and replace(c.check)) for id, c in claims.CLAIMS.items()}
    monkeypatch.setattr(ledger_module, "CLAIMS", fresh)  # a check knows its code once and for all
    after = rows_by_id()
    changed = after.pop("A09")
    assert changed["note"] == "stale: the code that measures it has changed since it was decided"
    assert after == {id: row for id, row in before.items() if id != "A09"}


@pytest.mark.parametrize(
    "id, definition",
    [
        ("A09", ("motionrepro.temporal.noise", "correlated_noise")),
        ("A11", ("motionrepro.studies.store", "contrast")),
        ("B02", ("motionrepro.reuse.nmi", "normalized_mutual_information")),
        ("B12", ("motionrepro.studies.statistics", "at_equal_cost")),
        ("B19", ("motionrepro.reuse.pipeline", "DenoisingReusePipeline")),
        ("X06", ("motionrepro.studies.statistics", "mean_interval")),
    ],
)
def test_a_checks_code_reaches_what_it_calls(id, definition):
    from motionrepro.provenance import definitions_used

    check = claims.CHECKS[id]
    assert definition in definitions_used(check.measure, *check.rests_on)


# what the smallest profile computes


def test_all_checks_run_in_the_smallest_profile():
    before = stored()
    rows = claims.decide(profile="smoke")
    verdicts = {id: "smoke" if claim.check else "open" for id, claim in claims.CLAIMS.items()}
    assert {row["id"]: row["verdict"] for row in rows} == verdicts and len(rows) == 65
    assert stored() == before
    measured = {row["id"]: row["evidence"]["numbers"] for row in rows if row["evidence"]}
    for id, numbers in json.loads(json.dumps(measured, allow_nan=False)).items():  # as from a file
        check = claims.CHECKS[id]
        assert check.judge(numbers) in claims.DECISIONS and check.summary(numbers), id
    for id in ("B02", "B03", "B04", "B07", "B08", "B19", "B21"):  # nothing stored can stand in for these
        numbers = measured[id]
        verdict = claims.CHECKS[id].judge(numbers)
        assert verdict in ("exact", "trend", "contradicted", "open") and numbers["n"] > 0, id


def test_the_identity_holds_and_its_control_fails():
    numbers = claims.decide("B05", "smoke")[0]["evidence"]["numbers"]
    assert numbers["worst"] <= 1 < numbers["control"] and claims.CHECKS["B05"].judge(numbers) == "exact"


# judges


def interval(low, high):
    return dict(mean=(low + high) / 2, low=low, high=high, n=9)


ABOVE, BELOW = interval(0.1, 0.3), interval(-0.3, -0.1)
TIES = ("independent", "shared")


def curves(**intervals):
    return dict(ties={tie: {"6+8": {"0-4": intervals}} for tie in TIES})


def truth(**numbers):
    return dict(ties=dict.fromkeys(TIES, numbers))


SD15 = dict(adapter=25_843_529, base=859_520_964, down=6, mid=1, up=9)
CONTRADICTIONS = {
    "A01": dict(sd15=SD15 | dict(adapter=30_000_000)),
    "A02": dict(sd15=SD15),
    "A03": dict(sd15=SD15 | dict(mid=0), sd21=SD15),
    "A04": dict(animatediff=453e6),
    "A05": dict(sd15=SD15, animatediff=30e6),
    "A06": dict(found=dict(a=dict(initial=1e-9, control=0.1, equal=False, finite=True))),
    "A07": dict(least=0.1, most=0.6),
    "A08": dict(uniform=2.6, trained=dict(interval=[-0.2, -0.1], level=[2.5, 2.6], rank=-0.8, p=1e-5)),
    "A09": dict(alpha=1e-6, rhos={"0.6": dict(worst=7.0, bound=5.9, normal=0.4)}),
    "A10": dict(adapter_changed=True, before=dict(vae="1"), after=dict(vae="2")),
    "A11": dict(parts=dict(MM=dict(state="holds"), FID=dict(state="fails"))),
    "A15": dict(parts=dict(FC=dict(state="fails"))),
    "A20": dict(shares=[0.01], few=0.02, sizes=dict(large=dict(percentile=[[0.3]], minmax=[[0.2]]))),
    "A22": dict(measured={"256": 90e9}),
    "A23": dict(settings=paper_a.STATED_SAMPLER | dict(guidance_scale=7.0)),
    "B01": dict(sources=dict(real=dict(latent=dict(energy=BELOW, share=ABOVE)))),
    "B02": curves(above_rest=BELOW, above_chance=ABOVE),
    "B03": curves(fall=ABOVE, cut=dict(falls=1.0, low=500, high=700)),
    "B04": curves(raw=BELOW, relative=ABOVE),
    "B05": dict(worst=1.2, control=40.0),
    "B06": dict(n=9, errors=dict(a=dict(more=BELOW))),
    "B07": truth(others={"7": {"6": BELOW, "8": BELOW}}, average={"6": ABOVE, "8": ABOVE}),
    "B08": truth(alone={"6": BELOW, "8": ABOVE}),
    "B09": dict(n=9, by="the selector", auto=ABOVE),
    "B10": dict(curves=dict(random=dict(rise=3, fall=0))),
    "B11": dict(n=9, saves={"100%": ABOVE, "25%": BELOW}),
    "B12": dict(n=9, balance={"a mixture": ABOVE, "400": BELOW}),
    "B13": dict(n=9, speed={way: [dict(measured=1.5, clock=0.9)] for way in ("200", "auto")}),
    "B14": dict(ratios=dict(SimDA=[1.5, 1.448])),
    "B15": dict(ratio=0.97),
    "B17": dict(places=dict(FVD=[2, 7], FID=[1, 5], CLIPSIM=[1, 6])),
    "B18": dict(n=9, better_than=dict(copy=dict(a=BELOW), composed=dict(a=ABOVE))),
    "B19": dict(motion=BELOW, look=ABOVE, right=ABOVE),
    "B20": {"n": 9, "200": dict(blur=ABOVE, fall=ABOVE, motion=BELOW, asked=ABOVE)},
    "B21": dict(sizes=[256, 256], differ=["batch", "lr"]),
    "B24": dict(scores=dict(a=120.0), most=101.0),
    "X01": dict(parts=dict(reversed=dict(state="fails", seeds=[0, 1, 2]))),
    "X02": dict(parts={"no-bias": dict(state="fails", seeds=[0, 1, 2])}),
    "X03": dict(
        ties=dict(a=dict(against_shared=dict(nmi=interval(-0.01, 0.01), relative=interval(-0.01, 0.01))))
    ),
    "X04": {"n": 9, "by": "the selector", "scores": {"asked for": BELOW, "of the references": ABOVE}},
    "X05": {
        "n": 9,
        "faster": {"200": [2.5], "full-fast": [2.0], "200-fast": [2.4]},
        "kept": {"200-fast": dict(a=ABOVE)},
        "blocks": {"200": ABOVE},
        "adapter": True,
    },
    "X06": truth(windowed=dict(copy=ABOVE, constant=BELOW)),
    "X07": truth(epe=ABOVE, content=ABOVE) | dict(bench=dict(met=False)),
    "X09": dict(p=0.001, low=0.9),
}
LIKE_A11 = ("A12", "A13", "A14", "A16", "A17", "A18", "A19", "A21", "A24")


@pytest.mark.parametrize("id", CONTRADICTIONS)
def test_judges_contradict_made_up_numbers(id):
    assert claims.CHECKS[id].judge(CONTRADICTIONS[id]) == "contradicted"


def test_the_other_judges_are_shared_or_cannot_contradict():
    gains = {measure: BELOW | dict(alone=BELOW) for measure in ("ssim_to_full", *QUALITY)}
    assert (
        claims.CHECKS["X08"].judge(dict(n=9, by="the selector", counts=[1, 2], gain=[gains]))
        == "contradicted"
    )
    assert {claims.CHECKS[id].judge for id in LIKE_A11} == {claims.CHECKS["A11"].judge}
    # their criteria know no contradiction: what we do in another way says nothing against the paper
    silent = {"A25", "B16", "B22", "B23"}
    assert claims.CHECKS.keys() == {*CONTRADICTIONS, *LIKE_A11, "X08", *silent}
    assert all("contradicted" not in claims.CHECKS[id].criterion for id in silent)
    for id in claims.CHECKS.keys() - silent:
        assert "contradicted" in claims.CHECKS[id].criterion, id


def test_a_row_shows_both_readings_and_has_the_verdict_of_the_literal_one():
    (a02,) = claims.ledger("A02")
    assert a02["verdict"] == "contradicted"
    assert "literally: contradicted" in a02["ours"] and "read otherwise: exact" in a02["ours"]
    numbers = stored()["B01"]["values"]["numbers"]
    verdict, said = (f(numbers) for f in (claims.CHECKS["B01"].judge, claims.CHECKS["B01"].summary))
    assert verdict == paper_b.judge_reading(numbers, "latent") and f"literal reading: {verdict};" in said
    assert f"Guess of the clean latent: {paper_b.judge_reading(numbers, 'guess')};" in said


@pytest.mark.parametrize("id", ["X01", "X02"])
def test_one_training_of_a_design_decides_nothing(id):
    parts = {name: dict(state="fails", seeds=[0, 1, 2]) for name in ("a", "b")}
    assert claims.CHECKS[id].judge(dict(parts=parts | dict(c=dict(state="fails", seeds=[0])))) == "open"
    assert claims.CHECKS[id].judge(dict(parts=parts | dict(c=dict(state="missing")))) == "open"


def test_table_2_is_found():
    told = claims.tell(*claims.ledger("A11"))
    assert "Table 2" in told and claims.CHECKS["A11"].judge.__name__ in told and "FID 95.82/92.09" in told
    assert "original criterion" in claims.CHECKS["A13"].criterion


# an installed copy


INSTALLED = """
import json, sys
sys.path.insert(0, sys.argv[1])
from motionrepro import claims
print(claims.__file__)
print(json.dumps(claims.ledger()))
print(json.dumps(claims.decide("B14", again=True)))
"""


@pytest.fixture(scope="module")
def installed(root, tmp_path_factory):
    """A copy of the package alone, as a wheel would install it: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("installed")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "motionrepro", folder / "site" / "motionrepro", ignore=ignore)
    (folder / "work").mkdir()
    command = [sys.executable, "-c", INSTALLED, str(folder / "site")]
    done = subprocess.run(command, cwd=folder / "work", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


def test_an_installed_copy_shows_the_same_rows(installed):
    folder, (file, rows, _) = installed
    assert file.startswith(str(folder / "site"))
    for there, here in zip(json.loads(rows), claims.ledger(), strict=True):
        assert all(there[k] == here[k] for k in ("id", "claim", "place", "paper", "ours", "verdict"))
        # it has no stored trainings and clips, so it cannot tell whether these have changed
        assert there["stale"] <= here["stale"]


def test_an_installed_copy_stores_results_where_it_runs(installed):
    folder, (_, _, decided) = installed
    assert json.loads(decided)[0]["verdict"] == claims.ledger("B14")[0]["verdict"]
    written = [p.relative_to(folder / "work").as_posix() for p in (folder / "work").rglob("*.json")]
    assert written == ["results/claims/B14.json"]
    inside = folder / "site" / "motionrepro" / "assets" / "claims" / "B14.json"
    assert read_json(inside) == stored()["B14"]
