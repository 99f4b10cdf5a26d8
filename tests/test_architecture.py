"""The house: what may import what, what stays public, and how a statement looks."""

import ast
import importlib
import re

import pytest

CONTRACT = {
    "motionrepro.backbones": ["load_backbone"],
    "motionrepro.temporal.noise": ["correlated_noise", "noise_correlation"],
    "motionrepro.temporal.motion": ["frame_difference", "MotionNormalizer", "motion_from_prompt"],
    "motionrepro.temporal.attention": ["motion_bias", "GlobalTemporalBlock", "AdaptiveTemporalBlock"],
    "motionrepro.temporal.adapter": ["TemporalAdapter", "MotionAdaptiveUNet"],
    "motionrepro.temporal.losses": ["denoising_loss", "temporal_consistency_loss"],
    "motionrepro.temporal.pipeline": ["MotionAdaptivePipeline"],
    "motionrepro.reuse.residuals": ["LatentTrajectory", "high_frequency_energy"],
    "motionrepro.reuse.matrices": ["motion_matrix", "transformation_error"],
    "motionrepro.reuse.nmi": ["normalized_mutual_information", "nmi_curve"],
    "motionrepro.reuse.mtn": ["MotionTransformationNetwork"],
    "motionrepro.reuse.dss": ["optimal_switch_step", "DenoisingStepSelector"],
    "motionrepro.reuse.pipeline": ["DenoisingReusePipeline", "DenoisingReuseConfig", "nearest_timestep"],
    "motionrepro.metrics": [
        "frechet_distance",
        "clip_sim",
        "frame_consistency",
        "motion_magnitude",
        "inception_score",
        "fid",
        "fvd",
        "ssim",
    ],
    "motionrepro.claims": ["ledger", "decide", "table"],
    "motionrepro.training.adapter": ["train_adapter", "clip_cache"],
}


LAST = "99"  # the command line


def chapters(root):
    """The chapter of every module, such as "45" or "45a", from the notebooks' names."""
    found = {}
    for path in (root / "nbs").rglob("*.ipynb"):
        number = re.match(r"(\d\d)([a-z]?)_", path.name)
        name = re.search(r"#\|\s*default_exp ([\w.]+)", path.read_text(encoding="utf-8"))
        if number and name:
            found["motionrepro." + name.group(1).removesuffix(".__init__")] = number.group(1) + number.group(
                2
            )
    for path in (root / "motionrepro").rglob("*.py"):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        if name.split(".")[1:2] in (["cli"], ["app"], ["__main__"]):
            found[name] = LAST
    return found


def imported(path, name, known):
    """Modules of the package that a file imports, also inside functions."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parts = package.split(".")
                source = ".".join([*parts[: len(parts) - node.level + 1], *([source] if source else [])])
            inside = [f"{source}.{alias.name}" for alias in node.names]
            yield from (module for module in inside if module in known)
            if source in known and not all(module in known for module in inside):
                yield source


def modules(root):
    """Every file of the package that people read, by module name."""
    for path in sorted((root / "motionrepro").rglob("*.py")):
        if path.name != "_modidx.py":
            yield ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"), path


def test_modules_import_only_from_earlier_chapters(root):
    known = chapters(root)
    back = [
        f"{name} ({known[name]}) imports {other} ({known[other]})"
        for name, path in modules(root)
        if name in known and known[name] != LAST
        for other in imported(path, name, known)
        if other != name and known[other] >= known[name]
    ]
    assert not back, "\n".join(back)


def test_method_knows_no_studies_and_studies_no_claims(root):
    known = chapters(root)
    assert all("70" <= n < "80" for name, n in known.items() if name.startswith("motionrepro.studies"))
    assert all("80" <= n < "90" for name, n in known.items() if name.startswith("motionrepro.claims"))
    assert all(
        n < "70"
        for name, n in known.items()
        if re.match(r"motionrepro\.(data|temporal|reuse|metrics|training)", name)
    )


def test_chapter_numbers_are_in_reading_order(root):
    numbers = [p.name.split("_")[0] for p in (root / "nbs").rglob("[0-9][0-9]*.ipynb")]
    assert len(numbers) == len(set(numbers)) > 30


def test_the_import_walk_sees_an_import_inside_a_function(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("def f():\n    from ..claims import ledger\n    import motionrepro.core\n")
    known = {"motionrepro.claims": "89", "motionrepro.claims.ledger": "84", "motionrepro.core": "00"}
    assert set(imported(file, "motionrepro.reuse.a", known)) == {
        "motionrepro.claims.ledger",
        "motionrepro.core",
    }


@pytest.mark.parametrize("module", CONTRACT)
def test_public_names_stay(module):
    missing = [name for name in CONTRACT[module] if not hasattr(importlib.import_module(module), name)]
    assert not missing, f"{module} has lost {missing}"


def test_every_statement_does_something(root):
    """No tuple as a statement, no lambda that ought to be a function, no docstring cut into two strings."""
    found = []
    for name, path in modules(root):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            body = getattr(node, "body", None)
            for statement in body[1:] if isinstance(body, list) else []:
                value = statement.value if isinstance(statement, ast.Expr) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    found.append(f"{name}:{statement.lineno}")
            tuple_statement = isinstance(node, ast.Expr) and isinstance(node.value, ast.Tuple)
            named_lambda = isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda)
            if tuple_statement or named_lambda:
                found.append(f"{name}:{node.lineno}")
    assert not found, found
