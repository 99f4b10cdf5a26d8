"""What several tests need: the checkout, a copy of it, and the real clips where there are any."""

import importlib.util
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def one_line_and_a_hint(messages):
    """Whether the command line complained as it should: one line, and what to do next."""
    lines = messages.splitlines()
    return (
        len(lines) == 2
        and lines[0].startswith("motionrepro: error: ")
        and lines[1].startswith("hint: ")
        and lines[1] != "hint: "
    )


def cli(*parts):
    """The exit status of a command line, whose parts are pasted together and split as a shell would."""
    from motionrepro.cli import main

    return main(shlex.split(" ".join(map(str, parts))))


def example_of(help_text):
    """The arguments of the example in a command's help, in which lines are broken anywhere."""
    after = help_text.split("Example:")[1]
    return shlex.split(" ".join(after.split("\u256d")[0].split()))


def parsed(arguments):
    """The options of a command line by name, if Typer takes it; nothing is run."""
    from typer.main import get_command

    from motionrepro.cli import app
    from motionrepro.cli.options import spread_lists

    group = get_command(app)
    name, *rest = spread_lists(arguments)
    with group.make_context("motionrepro", [name]) as context:
        return group.get_command(context, name).make_context(name, rest, parent=context).params


def needed(module):
    """Skip a test, and say so, where a module is not installed."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"NOT TESTED: {module} is not installed, pip install 'motionrepro[dev]'")


@pytest.fixture(scope="session")
def browser():
    """A Chromium that is there; one for all tests, since Playwright runs once in a process."""
    needed("playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip(f"NOT TESTED: no browser, none of {', '.join(names)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def root():
    """The checkout's folder."""
    return ROOT


@pytest.fixture(scope="session")
def tracked():
    """Every file that git tracks or would track, relative to the checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listing.returncode:
        pytest.skip("this is no git checkout")
    return sorted({Path(name) for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()})


def copy_checkout(tracked, folder):
    """The folder, to which the checkout is copied as a clone would have it."""
    for name in tracked:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def fresh_copy(tmp_path, tracked):
    """A copy of the checkout that a test may change."""
    return copy_checkout(tracked, tmp_path / "copy")


@pytest.fixture(scope="session")
def real_clips():
    """The folder with real video that lies beside some checkouts."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"there are no real clips: {folder} does not exist")
    return folder
