"""The site: its checker on a small made-up one, and what its pages are made from."""

import importlib.util
import sys

import pytest

HEAD = "<html><head><title>{title}</title>{head}</head><body><p>Costs $5.</p>{body}</body></html>"
FORMULA = '<span class="math">\\({}\\)</span>'


def load(path, monkeypatch):
    """Import a script by its path; what lies beside it can be imported meanwhile."""
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checker(root, monkeypatch):
    return load(root / "tools" / "check_docs.py", monkeypatch)


@pytest.fixture
def pages(root, monkeypatch):
    return load(root / "docs" / "pages.py", monkeypatch)


@pytest.fixture
def site(tmp_path):
    """A site of three pages without a fault, and a function that writes one of them anew."""

    def write(name, body, head=""):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(HEAD.format(title=name, head=head, body=body))

    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "tex-svg-full.js").write_text("")
    (tmp_path / "a.png").write_bytes(b"")
    script = '<script src="_static/tex-svg-full.js?v=1"></script>'
    write("index.html", '<a href="more/one.html#here">one</a>', '<link rel="next" href="more/one.html">')
    write("more/one.html", '<h2 id="here">Here</h2><code>$x$</code>', '<link rel="next" href="../two.html">')
    write("two.html", f'<img src="a.png" alt="a square">{FORMULA.format("x")}', script)
    return tmp_path, write


def test_a_site_without_faults(checker, site):
    assert checker.check(site[0]) == []


@pytest.mark.parametrize(
    "body, fault",
    [
        ('<a href="nowhere.html">x</a>', "nowhere.html does not exist"),
        ('<a href="more/one.html#there">x</a>', "there is no such place"),
        ('<a href="#below">x</a>', "there is no such place"),
        ('<img src="b.png" alt="a circle">', "b.png does not exist"),
        ('<img src="a.png">', "has no text"),
        ('<img src="a.png" alt=" ">', "has no text"),
        ('<img src="a.png" alt="a.png">', "has no text"),
        ("<p>so $x_1$ is</p>", "unrendered"),
        ("<p>so $$x$$ is</p>", "unrendered"),
        ("<p>so $[0, 1)$ is</p>", "unrendered"),
        ("<p>so \\(x\\) is</p>", "unrendered"),
        ('<script src="https://example.org/a.js"></script>', "fetches https://example.org/a.js"),
        (FORMULA.format("x"), "no MathJax"),
    ],
)
def test_a_fault_on_a_page(checker, site, body, fault):
    folder, write = site
    write("two.html", body)
    (found,) = checker.check(folder)
    assert found.startswith("two.html: ") and fault in found


def test_a_page_that_is_not_in_the_table_of_contents(checker, site):
    folder, write = site
    write("three.html", "")
    write("search.html", "")
    assert checker.check(folder) == ["three.html: is not in the table of contents"]


def test_no_site_at_all(checker, tmp_path, monkeypatch):
    assert checker.check(tmp_path) == [f"{tmp_path} has no index.html"]
    monkeypatch.setattr(sys, "argv", ["check_docs.py", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        checker.main()
    assert stopped.value.code == 1


def test_every_notebook_has_a_page_of_its_own(root, pages):
    folders = (root / "nbs", root / "paper_figures")
    there = {p for folder in folders for p in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts}
    assert set(pages.notebooks()) == there
    names = [pages.page_of(p) for p in pages.notebooks()]
    assert len(set(names)) == len(names) and names[0] == "index.ipynb"
    assert set(pages.TEXTS) == {p.name for p in (root / "nbs").glob("*.md")}
    chapters = [p for p in there if p.parent.name != "paper_figures" and p.name not in pages.FRONT]
    assert {p.name[0] for p in chapters} == set(pages.PARTS)


def test_links_of_notebooks_lead_to_pages(root, pages, monkeypatch):
    links = load(root / "docs" / "links.py", monkeypatch)

    def linked(text):
        source = root / "nbs" / "temporal" / "30_noise.ipynb"
        return links.link_pages(text, source, "temporal/noise.ipynb", pages.all_pages(), root)

    assert linked("[a](../reuse/41_matrices.ipynb#Two-frames)") == "[a](../reuse/matrices.ipynb#two-frames)"
    assert linked("[a](32a_windows.ipynb) [b](#Here)") == "[a](windows.ipynb) [b](#here)"
    assert linked("[a](../reuse/)") == "[a](../reuse/index.md)"
    assert linked("[a](../../LICENSE)").endswith("/blob/main/LICENSE)")
    for text in ("[a](https://example.org)", "`[a](b.ipynb)`", "$f[a](b)$"):
        assert linked(text) == text
    assert (
        links.link_claims("see A01, `A01`, A100 and [A01](x)") == "see [A01](#A01), `A01`, A100 and [A01](x)"
    )


def test_pages_of_papers_ask_for_claims_that_there_are(root):
    from motionrepro.claims import CLAIMS

    for name in ("paper_a.md", "paper_b.md"):
        text = (root / "nbs" / name).read_text(encoding="utf-8")
        asked = [
            id for line in text.splitlines() if line.startswith("<!-- claims ") for id in line.split()[2:-1]
        ]
        assert len(asked) > 10 and set(asked) <= set(CLAIMS) and len(set(asked)) == len(asked)
