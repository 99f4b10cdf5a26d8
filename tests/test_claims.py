"""The ledger: what is stored is current, the same in the package, and judged by its numbers; deciding works from outside the checkout."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from motionrepro.claims import check as base
from motionrepro.claims import ledger as claims
from motionrepro.core import read_json, write_json


def stored(folder):
    return {p.stem: read_json(p) for p in sorted(folder.glob("*.json"))}


def test_claims_are_stored_in_one_place(root):
    assert stored(claims.shipped_results()) and not (root / "results" / "claims").exists()


def test_every_check_has_a_current_result():
    rows = claims.ledger([id for id, claim in claims.CLAIMS.items() if claim.check])
    assert {r["id"] for r in rows} >= {"A09", "A20", "B01", "B05"}
    assert not [(r["id"], r["note"]) for r in rows if r["note"]], (
        "decide them again: motionrepro claims --decide"
    )
    for row in rows:
        assert row["verdict"] in claims.DECISIONS and row["ours"] and row["evidence"]["seed"] is not None
        # without a measurement nothing is decided; A15 needs weights whatever is measured
        assert (
            row["evidence"]["n"] > 0
            or row["verdict"] in ("open", "needs weights")
            and "not measured yet" in row["ours"]
        )


def test_results_say_where_they_come_from(root):
    for id, result in stored(claims.shipped_results()).items():
        assert result["values"]["verdict"] == claims.CLAIMS[id].check.judge(result["values"]["numbers"])
        assert result["config"]["criterion"] and result["config"]["profile"] == "tiny"
        assert {"commit", "versions", "device", "time"} <= result["provenance"].keys() and result[
            "seconds"
        ] is not None


def test_all_checks_run_in_the_smallest_profile(root):
    before = stored(claims.shipped_results())
    rows = claims.decide(profile="smoke")
    assert {r["id"]: r["verdict"] for r in rows} == {
        id: "smoke" if claim.check else "open" for id, claim in claims.CLAIMS.items()
    }
    assert len(rows) == 58
    assert stored(claims.shipped_results()) == before


def test_the_identity_holds_and_its_control_fails():
    numbers = claims.decide("B05", "smoke")[0]["evidence"]["numbers"]
    assert numbers["worst"] <= 1 < numbers["control"] and claims.CHECKS["B05"].judge(numbers) == "exact"


def test_other_weights_make_a_result_stale(root, tmp_path, monkeypatch):
    shutil.copytree(root / "results" / "claims", tmp_path / "claims")
    monkeypatch.setattr(claims, "weights_fingerprint", lambda backbone: "other weights")
    notes = {r["id"]: r["note"] for r in claims.ledger(folder=tmp_path / "claims") if r["evidence"]}
    assert notes["B01"] == notes["B05"] == "decided with another weights" and notes["A09"] == ""


def test_other_code_makes_a_result_stale(root, tmp_path, monkeypatch):
    shutil.copytree(root / "results" / "claims", tmp_path / "claims")
    before = {r["id"]: r for r in claims.ledger(folder=tmp_path / "claims")}
    true = base.source_of
    monkeypatch.setattr(
        base,
        "source_of",
        lambda name: (
            true(name).replace("fresh * noise", "noise") if name.endswith(":correlated_noise") else true(name)
        ),
    )
    fresh = {
        id: replace(c, check=c.check and replace(c.check)) for id, c in claims.CLAIMS.items()
    }  # a check knows its code once and for all
    monkeypatch.setattr(claims, "CLAIMS", fresh)
    after = {r["id"]: r for r in claims.ledger(folder=tmp_path / "claims")}
    assert after.pop("A09") == before.pop("A09") | dict(note="decided with another code") and after == before


def test_a_row_shows_both_readings_and_has_the_verdict_of_the_literal_one():
    a02, b01 = claims.ledger(["A02", "B01"])
    numbers = b01["evidence"]["numbers"]
    assert (
        b01["verdict"] == claims.judge_reading(numbers, "latent")
        and f"literal reading: {b01['verdict']};" in b01["ours"]
    )
    assert f"Guess of the clean latent: {claims.judge_reading(numbers, 'guess')};" in b01["ours"]
    assert (
        a02["verdict"] == "contradicted"
        and "literally: contradicted" in a02["ours"]
        and "read otherwise: exact" in a02["ours"]
    )


def test_the_table_names_results_that_no_commit_describes(root, tmp_path):
    for id, commit in (("A01", "0123456789ab"), ("B14", "0123456789ab+")):
        result = read_json(root / "results" / "claims" / f"{id}.json")
        write_json(
            tmp_path / f"{id}.json", result | dict(provenance=result["provenance"] | dict(commit=commit))
        )
    assert claims.table(["A01", "B14"], folder=tmp_path).endswith(
        "computed with uncommitted changes in the checkout: B14"
    )


@pytest.fixture
def installed(root, tmp_path):
    """A copy of the package alone, as a wheel would install it."""
    shutil.copytree(
        root / "motionrepro", tmp_path / "site" / "motionrepro", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "work").mkdir()
    return tmp_path


def python(installed, code):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(installed / 'site')!r})\n{code}"],
        cwd=installed / "work",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_copy_shows_the_same_table(installed):
    shown = python(
        installed, "from motionrepro import claims; print(claims.__file__); print(claims.table(width=120))"
    )
    assert (
        shown.startswith(str(installed / "site"))
        and shown.split("\n", 1)[1].strip() == claims.table(width=120).strip()
    )


def test_an_installed_copy_stores_results_where_it_runs(installed):
    result = python(
        installed,
        "import json; from motionrepro import claims; print(json.dumps(claims.decide('A20', again=True)))",
    )
    assert json.loads(result)[0]["verdict"] == claims.ledger("A20")[0]["verdict"]
    assert [p.relative_to(installed / "work").as_posix() for p in (installed / "work").rglob("*.json")] == [
        "results/claims/A20.json"
    ]
    shipped = read_json(claims.shipped_results() / "A20.json")
    assert read_json(installed / "site" / "motionrepro" / "assets" / "claims" / "A20.json") == shipped
