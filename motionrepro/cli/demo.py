"""`motionrepro demo`: a page to make, edit and analyse clips in."""

import importlib.util
import threading
from typing import Annotated

import typer

from .options import Adapter, AllowPickles, Backbone, Config, Device, Dss, Dtype, Mtn, Offline


def demo(
    backbone: Backbone = "tiny-128",
    adapter: Adapter = None,
    mtn: Mtn = None,
    dss: Dss = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Where the page is served; 0.0.0.0 lets other computers see it."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Port of that address, 1 to 65535.", show_default="the first free one from 7860"
        ),
    ] = None,
    share: Annotated[
        bool,
        typer.Option(
            "--share", help="Also let everyone who knows a public address in, through Gradio's servers."
        ),
    ] = False,
    device: Device = None,
    offline: Offline = False,
    dtype: Dtype = "float32",
    config: Config = None,
    allow_pickles: AllowPickles = False,
):
    """
    Play with it: a page on this computer that makes, edits and analyses clips.

    Make a clip from a caption, give a clip of your own another look, or see how its motion shows over the
    noise levels. Only this computer can open the page, and nothing leaves it, unless --host or --share says
    so. Needs pip install 'motionrepro[demo]'.

    Example: motionrepro demo --backbone tiny
    """
    from motionrepro.core import UserError, check_whole

    if importlib.util.find_spec("gradio") is None:
        raise UserError("the demo needs Gradio", "pip install 'motionrepro[demo]'")
    if port is not None:
        check_whole("port", port, 1, 65535)
    from motionrepro.app.page import serve

    networks = dict(adapter=adapter, mtn=mtn, dss=dss, device=device, dtype=dtype, offline=offline)
    networks |= dict(config=config, allow_pickles=allow_pickles)
    with serve(backbone, networks, host, port, share) as addresses:
        print(f"the demo is at {' and '.join(addresses)} (Ctrl-C ends it)", flush=True)
        threading.Event().wait()
