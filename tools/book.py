"""Store what the notebooks show, and say whether that is what today's code shows.

    python tools/book.py run [NOTEBOOK ...]      # execute what is not current, from a clean kernel
    python tools/book.py check [NOTEBOOK ...]    # exit 1 if outputs are missing, out of date, or too large

Outputs are current as long as a notebook's metadata has the hash of its code with all definitions of the
package that it uses, of the weights if it loads any, and of stored results if it reads any. As in
`motionrepro.provenance`, the layout and the words of code do not count.
"""

import argparse
import base64
import io
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

from motionrepro.core import atomic_path
from motionrepro.provenance import definitions_of, fingerprint

ROOT = Path(__file__).resolve().parent.parent
IMAGE_BYTES = 60_000  # of one picture
NOTEBOOK_BYTES = 200_000  # of a notebook's outputs, pictures decoded
BOOK_BYTES = 6_000_000  # of all of them
TEXT_CHARACTERS = 4_000  # of one output
COLOURS = (256, 128, 64)  # of a picture that is too large, one after the other
# what a notebook reads if it uses a definition of these modules
READS = {
    "motionrepro.core:assets_path": "motionrepro/assets",
    "motionrepro.studies.store:": "results",
    "motionrepro.claims": "results",
}
KEY = "outputs_of"  # of the hash in a notebook's metadata


def notebooks() -> list:
    """Return all notebooks of the book, in reading order."""
    return sorted((ROOT / "nbs").rglob("*.ipynb")) + sorted((ROOT / "paper_figures").glob("*.ipynb"))


def directives(cell) -> set:
    """Return the words after a code cell's `#|`."""
    return set(re.findall(r"^#\|\s*(\w+)", cell.source, flags=re.M)) if cell.cell_type == "code" else set()


def is_run(cell) -> bool:
    """Tell whether a cell is executed: all code but what takes long, needs a GPU, or writes the modules."""
    skipped = directives(cell) & {"slow", "cuda", "hub"} or "nbdev_export()" in cell.source
    return cell.cell_type == "code" and not skipped


def is_shown(cell) -> bool:
    """Tell whether readers see a cell's outputs."""
    return is_run(cell) and "hide" not in directives(cell)


def code_of(notebook) -> str:
    """Return all code of a notebook that is executed, without lines for the shell."""
    lines = "\n".join(cell.source for cell in notebook.cells if is_run(cell)).splitlines()
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


def stamp(notebook) -> str:
    """Return the hash that a notebook's outputs are current for."""
    used = definitions_of(code_of(notebook))
    places = [f"{module}:{name}" for module, name in used]
    reads = {folder for start, folder in READS.items() if any(p.startswith(start) for p in places)}
    texts = [f"{module}:{name}\n{text}" for (module, name), text in sorted(used.items())]
    return fingerprint(texts, *(ROOT / folder for folder in sorted(reads)))


def as_png(image: Image.Image, colours: int) -> bytes:
    """Return a picture as a file with a palette."""
    file = io.BytesIO()
    palette = image.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.save(file, "PNG", optimize=True)
    return file.getvalue()


def smaller(png: bytes) -> bytes:
    """Return a picture with as many colours, and then as many pixels, as its size allows."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in COLOURS:
        file = as_png(image, colours)
        if len(file) <= IMAGE_BYTES:
            return file
    while len(file) > IMAGE_BYTES:
        image = image.resize([side * 3 // 4 for side in image.size], Image.Resampling.LANCZOS)
        file = as_png(image, COLOURS[-1])
    return file


def cleaned_text(text: str) -> str:
    """Return text without what belongs to one machine and one run: folders and addresses."""
    for folder, name in ((ROOT, "."), (Path(tempfile.gettempdir()), "/tmp"), (Path.home(), "~")):
        text = text.replace(f"{folder}/", f"{name}/")
    text = re.sub(r"/tmp/tmp\w+", "/tmp/folder", text)
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def cleaned_outputs(cell) -> list:
    """Return what readers see of a cell's outputs."""
    outputs = []
    for output in cell.outputs:
        if output.output_type == "stream":
            if output.name == "stderr":
                continue  # progress and warnings
            output.text = cleaned_text(output.text)
        elif output.output_type in ("display_data", "execute_result"):
            output.metadata = {}
            if output.output_type == "execute_result":
                output.execution_count = None
            if "image/png" in output.data:
                png = smaller(base64.b64decode(output.data["image/png"]))
                output.data = nbformat.from_dict({"image/png": base64.b64encode(png).decode()})
            elif "text/plain" in output.data:
                output.data["text/plain"] = cleaned_text(output.data["text/plain"])
        outputs.append(output)
    return outputs


def execute(notebook, folder: Path):
    """Run a notebook from a clean kernel, and keep what readers see."""
    part = nbformat.v4.new_notebook()
    part.metadata.kernelspec = notebook.metadata.kernelspec
    part.cells = [cell for cell in notebook.cells if is_run(cell)]  # the same objects
    NotebookClient(part, timeout=3600, resources=dict(metadata=dict(path=str(folder)))).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = cleaned_outputs(cell) if is_shown(cell) else []
            cell.execution_count = None
            cell.metadata.pop("execution", None)


def output_bytes(output) -> int:
    """Return the size of an output, pictures decoded."""
    if output.output_type == "stream":
        return len(output.text.encode())
    parts = output.get("data", {}).items()
    return sum(
        len(base64.b64decode(v)) if kind.startswith("image/p") else len(str(v).encode()) for kind, v in parts
    )


def faults(path: Path, notebook) -> list:
    """Return what is wrong with a notebook's outputs, in words."""
    found = []
    name = path.relative_to(ROOT)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    for output in outputs:
        size = output_bytes(output)
        if "image/png" in output.get("data", {}):
            if size > IMAGE_BYTES:
                found.append(f"{name}: a picture of {size} bytes, {IMAGE_BYTES} at most")
        elif size > TEXT_CHARACTERS:
            found.append(f"{name}: a text of {size} characters, {TEXT_CHARACTERS} at most")
        if output.output_type == "error":
            found.append(f"{name}: an error is stored")
    total = sum(map(output_bytes, outputs))
    if total > NOTEBOOK_BYTES:
        found.append(f"{name}: outputs of {total} bytes, {NOTEBOOK_BYTES} at most")
    there = notebook.metadata.get("motionrepro", {}).get(KEY)
    if there is None:
        found.append(f"{name}: no outputs are stored")
    elif there != stamp(notebook):
        found.append(f"{name}: outputs are not of today's code")
    return found


def run(paths: list):
    """Execute the notebooks whose outputs are not current, and write them."""
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        if notebook.metadata.get("motionrepro", {}).get(KEY) == stamp(notebook):
            continue
        print(path.relative_to(ROOT), flush=True)
        execute(notebook, path.parent)
        notebook.metadata["motionrepro"] = {KEY: stamp(notebook)}
        with atomic_path(path) as temporary:
            nbformat.write(notebook, temporary)


def check(paths: list) -> list:
    """Return all that is wrong with the notebooks' outputs."""
    read = {path: nbformat.read(path, as_version=4) for path in paths}
    found = [fault for path, notebook in read.items() for fault in faults(path, notebook)]
    cells = [cell for notebook in read.values() for cell in notebook.cells if cell.cell_type == "code"]
    total = sum(output_bytes(output) for cell in cells for output in cell.outputs)
    print(f"{len(paths)} notebooks, outputs of {total / 1e6:.2f} MB")
    if total > BOOK_BYTES:
        found.append(f"all outputs have {total} bytes, {BOOK_BYTES} at most")
    return found


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=("run", "check"))
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all")
    options = parser.parse_args()
    paths = [path.resolve() for path in options.notebooks] or notebooks()
    if options.what == "run":
        run(paths)
    found = check(paths)
    print(*found, sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
