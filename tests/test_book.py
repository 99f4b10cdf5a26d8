"""What the notebooks show is stored, small, of no machine, and of today's code."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

PICTURE = """import numpy as np
import matplotlib.pyplot as plt

plt.figure(figsize=(9, 6))
plt.imshow(np.random.default_rng(0).random((600, 900, 3)))  # as large as a picture can be"""


@pytest.fixture
def book(root, tmp_path, monkeypatch):
    """The script, for a book of one's own."""
    monkeypatch.syspath_prepend(str(root / "tools"))
    book = importlib.import_module("book")
    monkeypatch.setattr(book, "ROOT", tmp_path)
    for folder in set(book.READS.values()):
        (tmp_path / folder).mkdir(parents=True)
    return book


def written(path, *sources):
    """Write a notebook."""
    kernel = dict(name="python3", display_name="python3", language="python")
    notebook = new_notebook(metadata=dict(kernelspec=kernel), cells=[new_code_cell(s) for s in sources])
    nbformat.write(notebook, path)
    return path


def texts(path):
    """Return the text each cell shows."""
    cells = nbformat.read(path, as_version=4).cells
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in cells]


def test_outputs_are_stored_without_what_belongs_to_one_machine(book, tmp_path):
    path = written(
        tmp_path / "a.ipynb",
        "import sys, tempfile\nfrom pathlib import Path\nprint(Path.cwd() / 'b', object())",
        "print(tempfile.mkdtemp())\nprint('progress', file=sys.stderr)",
        "#|hide\nhidden = 2\nprint(hidden)",
        "#|slow\nraise ValueError",
        "print(hidden)",
        PICTURE,
    )
    book.run([path])
    assert book.check([path]) == []
    assert texts(path)[:5] == ["./b <object object>\n", "/tmp/folder\n", "", "", "2\n"]
    notebook = nbformat.read(path, as_version=4)
    (picture,) = [output for output in notebook.cells[5].outputs if "image/png" in output.get("data", {})]
    assert 20_000 < book.output_bytes(picture) <= book.IMAGE_BYTES and list(picture.data) == ["image/png"]
    assert set(notebook.metadata) == {"kernelspec", "motionrepro"}
    assert not any(cell.get("execution_count") or "execution" in cell.metadata for cell in notebook.cells)


def test_cleaning_keeps_what_is_stored(book, root, tmp_path):
    path = written(tmp_path / "a.ipynb", "print(1)")
    book.run([path])
    subprocess.run([Path(sys.executable).with_name("nbdev_clean"), "--fname", path], cwd=root, check=True)
    assert book.check([path]) == [] and texts(path) == ["1\n"]


def test_outputs_are_of_todays_code_and_not_of_its_words(book, tmp_path):
    source = "from motionrepro.core import check_range\nprint(check_range('rho', 0.5, 0, 1))"
    path = written(tmp_path / "a.ipynb", source)
    assert book.check([path]) == ["a.ipynb: no outputs are stored"]
    book.run([path])
    before = path.stat().st_mtime_ns
    book.run([path])
    assert path.stat().st_mtime_ns == before  # nothing to do
    text = path.read_text()
    path.write_text(text.replace("print(", "print(  # in the middle\\n", 1))
    assert book.check([path]) == []
    path.write_text(text.replace("0.5, 0", "0.25, 0"))
    assert book.check([path]) == ["a.ipynb: outputs are not of today's code"]
    book.run([path])
    assert book.check([path]) == [] and texts(path) == ["0.25\n"]


def test_weights_count_where_they_are_read_only(book, tmp_path):
    reads = written(
        tmp_path / "a.ipynb", "from motionrepro.core import assets_path\nprint(assets_path().name)"
    )
    computes = written(tmp_path / "b.ipynb", "print(1 + 1)")
    book.run([reads, computes])
    (tmp_path / "motionrepro" / "assets" / "weights").write_bytes(b"1")
    assert book.check([reads, computes]) == ["a.ipynb: outputs are not of today's code"]


def test_what_is_too_large_is_named(book, tmp_path, monkeypatch):
    path = written(tmp_path / "a.ipynb", "print('a' * 5000)", PICTURE)
    book.run([path])
    assert book.check([path]) == ["a.ipynb: a text of 5001 characters, 4000 at most"]
    monkeypatch.setattr(book, "IMAGE_BYTES", 1000)
    monkeypatch.setattr(book, "NOTEBOOK_BYTES", 26_000)
    monkeypatch.setattr(book, "BOOK_BYTES", 25_000)
    found = book.check([path])
    assert [re.sub(r"\d+ bytes", "n bytes", fault) for fault in found[1:]] == [
        "a.ipynb: a picture of n bytes, 1000 at most",
        "a.ipynb: outputs of n bytes, 26000 at most",
        "all outputs have n bytes, 25000 at most",
    ]


def test_a_notebook_that_fails_stays_as_it_is(book, tmp_path):
    path = written(tmp_path / "a.ipynb", "raise ValueError('no')")
    before = path.read_bytes()
    with pytest.raises(Exception, match="raise ValueError"):
        book.run([path])
    assert path.read_bytes() == before
