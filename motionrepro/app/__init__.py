"""The demo: a page on this computer that makes, edits and analyses clips; thin over the library's functions.

| module | what it has |
|---|---|
| `words` | captions of the embedded world, put together from its words |
| `models` | the networks that the page works with, loaded once |
| `work` | what the page's buttons do, without the page |
| `page` | the page; the only module that needs Gradio |
"""
