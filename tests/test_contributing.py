"""CONTRIBUTING.md's example is run as it stands; hooks, citation and release agree with the package."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def settings(root):
    """What settings.ini says."""
    config = configparser.ConfigParser(delimiters=["="])
    config.read(root / "settings.ini", encoding="utf-8")
    return config["DEFAULT"]


def shell(script, cwd):
    """The finished script, which stops at its first failure; `cwd` is the package that it imports."""
    env = dict(os.environ, PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}", PYTHONPATH=str(cwd))
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)


def example(root):
    """The shell blocks of the worked example, in their order."""
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = re.search(r"^## A worked example\n(.*?)^## ", text, re.M | re.S).group(1)
    return re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)


@pytest.mark.slow
def test_the_worked_example_works_as_it_stands(root, fresh_copy):
    chapter, study, claim = example(root)
    for block in (chapter, study, claim):
        done = shell(block, fresh_copy)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    assert re.search(r"^X99 .*\btrend\b|verdict +trend", done.stdout, re.M), done.stdout
    house = shell("ruff check . && ruff format --check nbs && python tools/check_imports.py", fresh_copy)
    assert house.returncode == 0, house.stdout + house.stderr
    tests = "python -m pytest -q -p no:cacheprovider tests/test_architecture.py"
    house = shell(tests, fresh_copy)
    assert house.returncode == 0, house.stdout + house.stderr
    # what is left to the contributor is what the tests ask for, as the document says
    counts = shell("nbdev_test --path nbs/claims/84_ledger.ipynb", fresh_copy)
    assert counts.returncode and "AssertionError" in counts.stdout + counts.stderr


def without_cells(text):
    """Text without what it pastes into notebooks."""
    return re.sub(r"<<'CELLS'\n.*?^CELLS$", "", text, flags=re.M | re.S)


def test_the_document_names_what_is_there(root):
    text = without_cells((root / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    named = re.findall(r"(?:^|[ `(])((?:nbs|tests|tools|motionrepro)/[\w/.]+|\w+\.(?:md|cff|ini))\b", text)
    paths = set(named) - {
        "nbs/FOLDER/NOTEBOOK.ipynb",
        "nbs/metrics/58_flicker.ipynb",
        "nbs/studies/79a_flicker.ipynb",
    }
    assert len(paths) > 8 and not [path for path in paths if not (root / path).exists()]
    commands = {line.split()[0] for block in example(root) for line in without_cells(block).splitlines()}
    assert commands == {"python", "nbdev_export", "nbdev_clean", "nbdev_test", "motionrepro"}


CELLS = """# %% [markdown]
# # A title
#
# And a text.

# %%
x = 1
# a comment

# %%
y = 2
"""


def copied(root, folder, *names):
    """The folder, with copies of these files of the checkout."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, folder / name)
    return folder


def put(root, notebook, *options, text=CELLS):
    """The finished run of tools/cells.py."""
    command = [sys.executable, root / "tools" / "cells.py", notebook, *options]
    return subprocess.run(command, input=text, capture_output=True, text=True)


def test_cells_go_into_a_new_notebook_and_above_a_heading(root, tmp_path):
    import nbformat

    notebook = tmp_path / "a.ipynb"
    assert put(root, notebook).returncode == 0
    assert put(root, notebook, "--before", "# A title", text="# %%\nfirst = 0\n").returncode == 0
    written = nbformat.read(notebook, as_version=4)
    nbformat.validate(written)
    sources = [cell.source for cell in written.cells]
    assert sources[:4] == ["first = 0", "# A title\n\nAnd a text.", "x = 1\n# a comment", "y = 2"]
    assert [cell.cell_type for cell in written.cells[:2]] == ["code", "markdown"]
    assert sources[4:] == ["#|hide\nimport nbdev\n\nnbdev.nbdev_export()"]


@pytest.mark.parametrize(
    ("options", "text", "said"),
    [
        ([], CELLS, "is there; say --before"),
        (["--before", "# Another"], CELLS, "0 cells that begin with '# Another'"),
        (["--before", "# A title"], "x = 1\n", "must begin with a line `# %%`"),
        (["--before", "# A title"], "# %% [raw]\nx\n", "not with `# %% [raw]`"),
    ],
)
def test_cells_that_cannot_be_placed_change_nothing(root, tmp_path, options, text, said):
    notebook = tmp_path / "a.ipynb"
    assert put(root, notebook).returncode == 0
    before = notebook.read_bytes()
    refused = put(root, notebook, *options, text=text)
    assert refused.returncode and said in refused.stderr and notebook.read_bytes() == before


@pytest.fixture
def hooks(root):
    """The hooks, by id."""
    (local,) = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())["repos"]
    return {hook["id"]: hook for hook in local["hooks"]}


def test_hooks_run_what_make_installs(root, hooks, settings):
    programs = {Path(hook["entry"].split()[0]) for hook in hooks.values()}
    assert {p.name for p in programs} == {"nbdev_clean", "nbdev_export", "ruff", "python"}
    assert {p.parent.as_posix() for p in programs} == {".venv/bin"}
    assert {"nbdev", "ruff"} <= set(re.findall(r"[\w-]+", settings["dev_requirements"]))
    # the same files have a layout here as in CI
    folders = (
        re.search(r"ruff format .*--check (.*)$", (root / ".ci" / "run").read_text(), re.M).group(1).split()
    )
    skipped = hooks["ruff-format"]["exclude"]
    for path in ("motionrepro/cli/score.py", "setup.py", "nbs/00_core.ipynb", "tests/conftest.py"):
        assert path.startswith(tuple(folders)) and not re.search(skipped, path)
    for path in ("motionrepro/core.py", "motionrepro/reuse/run.py"):
        assert not path.startswith(tuple(folders)) and re.search(skipped, path)


@pytest.mark.parametrize(("hook", "spoilt"), [("ruff-check", "import os\n"), ("ruff-format", "x  = 1\n")])
def test_hooks_refuse_what_ci_would(root, hooks, tmp_path, hook, spoilt):
    copied(root, tmp_path, "pyproject.toml")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(BIN)
    file = tmp_path / "new.py"
    for text, fine in {"x = 1\n": True, spoilt: False}.items():
        file.write_text(text)
        done = shell(f"{hooks[hook]['entry']} new.py", tmp_path)
        # a file that is mended on the way stops the commit as well
        assert (done.returncode == 0 and file.read_text() == text) == fine, done.stdout + done.stderr


def test_the_citation_says_what_the_package_and_the_readme_say(root, settings):
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    config = {name: settings[name] for name in ("lib_name", "version", "author", "git_url", "description")}
    said = dict(lib_name=citation["title"], version=citation["version"], git_url=citation["repository-code"])
    said |= dict(author=citation["authors"][0]["name"], description=citation["abstract"].strip())
    assert said == config and citation["keywords"] == settings["keywords"].split()
    assert citation["license"] == "Apache-2.0" and 'license="Apache-2.0"' in (root / "setup.py").read_text()
    readme = " ".join((root / "README.md").read_text(encoding="utf-8").split())
    for paper in citation["references"]:
        assert f"*{paper['title']}*" in readme
        names = [f"{a['given-names'][0]}" + ". " + a["family-names"] for a in paper["authors"]]
        listed = re.search(rf"\*\*{paper['notes'][-1]}\*\*: (.*?), \*", readme).group(1)
        listed = re.sub(r"R\. P\.", "R.", listed)
        assert re.split(r", | and ", listed) == names
        assert paper.get("url", "") in readme


@pytest.fixture
def release(root, tmp_path, settings):
    """A copy of what a release has to agree on, ready for one, and a function that checks a tag there."""
    fresh_copy = copied(root, tmp_path, "settings.ini", "CHANGELOG.md", "CITATION.cff", "tools/release.py")
    version = settings["version"]
    changelog = fresh_copy / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    changelog.write_text(text.replace(f"## {version} (not released yet)", f"## {version} (2026-12-24)", 1))
    citation = fresh_copy / "CITATION.cff"
    text = re.sub(r"^date-released: .*\n", "", citation.read_text(encoding="utf-8"), flags=re.M)
    citation.write_text(text + "date-released: 2026-12-24\n")

    def check(tag):
        command = [sys.executable, fresh_copy / "tools" / "release.py", tag]
        return subprocess.run(command, capture_output=True, text=True)

    return fresh_copy, check


def test_a_release_prints_its_notes(release, settings):
    _, check = release
    done = check(f"v{settings['version']}")
    assert done.returncode == 0 and done.stdout.strip() and "## " not in done.stdout


@pytest.mark.parametrize("spoil", ["tag", "CHANGELOG.md", "CITATION.cff"])
def test_a_release_that_does_not_agree_is_refused(release, settings, spoil):
    copy, check = release
    tag = f"v{settings['version']}"
    if spoil == "tag":
        tag = "v999.0.0"
    else:
        file = copy / spoil
        file.write_text(file.read_text(encoding="utf-8").replace("2026-12-24", "2026-12-2x"))
    refused = check(tag)
    assert refused.returncode and ("999" if spoil == "tag" else spoil) in refused.stderr


def test_workflows_pin_what_they_use_and_only_publishing_may_identify_itself(root):
    for file in (root / ".github" / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(file.read_text())
        assert workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            used = [step["uses"] for step in job["steps"] if "uses" in step]
            assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name) for name in used)
    publish = yaml.safe_load((root / ".github" / "workflows" / "publish.yml").read_text())
    assert publish[True] == {"push": {"tags": ["v*"]}}  # `on` reads as true
    assert "permissions" not in publish["jobs"]["build"] and publish["jobs"]["publish"]["needs"] == "build"
    assert publish["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert not re.search(r"password|secrets\.", (root / ".github" / "workflows" / "publish.yml").read_text())


def test_forms_ask_for_something(root):
    forms = sorted((root / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) == 4
    for form in (f for f in forms if f.stem != "config"):
        asked = yaml.safe_load(form.read_text())
        assert asked["name"] and asked["description"]
        ids = [part["id"] for part in asked["body"]]
        assert len(ids) == len(set(ids)) and any(
            p.get("validations", {}).get("required") for p in asked["body"]
        )


def in_colab(root):
    """The chapters with a badge of Colab."""
    chapters = (root / "nbs").rglob("*.ipynb")
    return sorted(p for p in chapters if "open-in-colab.svg" in p.read_text(encoding="utf-8"))


def test_chapters_with_a_badge_need_nothing_but_the_checkout_and_its_requirements(root, settings):
    import ast

    import nbformat
    from packaging.requirements import Requirement

    names = {Requirement(r).name for r in settings["requirements"].split()}
    names = {
        dict(pillow="PIL").get(n, n.replace("scikit-learn", "sklearn").replace("scikit-image", "skimage"))
        for n in names
    }
    allowed = names | set(sys.stdlib_module_names) | {"motionrepro", "nbdev"}
    assert len(in_colab(root)) > 4
    for path in in_colab(root):
        place = path.relative_to(root)
        title, _, install, *cells = nbformat.read(path, as_version=4).cells
        assert (
            f"(https://colab.research.google.com/github/{settings['user']}/{settings['repo']}/blob/main/{place})"
            in title.source
        )
        assert settings["git_url"].replace("%(user)s", settings["user"]) in install.source
        nbdev = next(r for r in settings["dev_requirements"].split() if r.startswith("nbdev"))
        assert f'"{nbdev}" ./{settings["repo"]}\n' in install.source
        assert install.source.endswith(f"%cd {settings['repo']}/{place.parent}")
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        assert not [
            source
            for source in code
            if re.search(r"#\| *(slow|cuda|hub)\b|subprocess|\bresults_of\b", source)
        ]
        tree = ast.parse("\n".join(code))
        for node in ast.walk(tree):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {module.split(".")[0] for module in modules} <= allowed, (place, modules)
