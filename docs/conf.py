"""How Sphinx turns the pages that `pages.py` wrote into the site; `make docs` runs both."""

import sys
from importlib import metadata
from pathlib import Path

from nbdev.config import get_config

sys.path.insert(0, str(Path(__file__).resolve().parent))  # for `links`
settings = get_config()

project = settings.title
author = settings.author
copyright = settings.copyright
version = release = settings.version
language = "en"

extensions = ["myst_nb"]
nb_execution_mode = "off"  # pages show what the notebooks store; `make test` runs them
nb_code_prompt_show = "Exported source"
nb_code_prompt_hide = "Exported source"
nb_render_markdown_format = "myst"  # printed Markdown is Markdown
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "dollarmath", "fieldlist"]
myst_dmath_double_inline = True
myst_heading_anchors = 6
myst_heading_slug_func = "links.anchor"
nitpicky = True  # a name without a page is an error
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries = False

# MathJax comes with a package, in one file: the site needs no network.
mathjax = metadata.distribution("sphinx-mathjax-offline")
html_static_path = [
    "static",
    str(mathjax.locate_file("sphinx-mathjax-offline/static/mathjax/tex-svg-full.js")),
]
mathjax_path = "tex-svg-full.js"
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_favicon = "static/icon.svg"

html_theme = "sphinx_book_theme"
html_title = settings.title
html_baseurl = settings.doc_host + settings.doc_baseurl + "/"
html_copy_source = False
html_context = dict(default_mode="auto")  # light or dark, as the reader's system is
html_theme_options = dict(
    repository_url=settings.git_url,
    use_repository_button=True,
    use_download_button=False,
    use_fullscreen_button=False,
    show_navbar_depth=1,
    show_toc_level=1,
    pygments_light_style="a11y-high-contrast-light",
    pygments_dark_style="a11y-high-contrast-dark",
)


def setup(app):
    """Let the browser have the files that `pages.py` wrote for it."""
    app.connect("config-inited", add_written_files)


def add_written_files(app, config):
    """Copy the stored clips of the explorer, where there are any."""
    written = app.srcdir / "_static"
    if written.is_dir():
        config.html_static_path.append(str(written))
