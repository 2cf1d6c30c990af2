"""A page for the browser: drop two images, choose network and colours, see and download the result."""

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fusion_lab.data.images import to_pillow, write_picture
from fusion_lab.data.pairs import read_source
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.fuser import COLOURS, Colours, Fuser
from fusion_lab.inference.weights import find_device, load_network
from fusion_lab.networks import Average, GuidedFilter, LaplacianPyramid, Maximum, Wavelet
from fusion_lab.networks.base import FusionNetwork

_NETWORKS: dict[str, Callable[[], FusionNetwork]] = {
    **{name: partial(load_network, name) for name in ("tita", "gifnet")},
    **{network.__name__: network for network in (Average, GuidedFilter, LaplacianPyramid, Maximum, Wavelet)},
}
"""What the page offers, by name: the packaged networks, and methods without learning."""
_TITLE = "fusion_lab"
_SIDES = {"A and fused": 0, "B and fused": 1}
_FILES_LAST = 3600
"""Seconds after which the files of a visitor go away."""


@dataclass(frozen=True)
class App:
    """What happens when somebody asks for a fused image; networks are loaded once, when they are first asked for.

    Attributes:
        networks: The networks on offer, by name, and how each is got.
        device: Where networks run.
        memory_limit: The memory that a network may take, in GiB.
    """

    networks: dict[str, Callable[[], FusionNetwork]] = field(default_factory=_NETWORKS.copy)
    device: str = "cpu"
    memory_limit: float = 6.0
    _loaded: dict[str, FusionNetwork] = field(default_factory=dict, repr=False)
    # Goes away with the page.
    _folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory, repr=False)

    def fuse(self, a: str | None, b: str | None, network: str, colours: Colours) -> tuple[Path, list[Any]]:
        """Fuse two files.

        Args:
            a: The file of source A.
            b: The file of source B, of the same size.
            network: A name of `networks`.
            colours: Whose colours the result has.

        Returns:
            The PNG of the result, and A, B and the result as images of Pillow, to be shown.

        Raises:
            FusionLabError: A file is missing, cannot be read, or the two cannot be fused.
        """
        if not a or not b:
            raise FusionLabError("Two images are needed: drop one on A and one on B.")
        first, second = _read(a, "A"), _read(b, "B")
        fused = Fuser(self._network(network), self.memory_limit, colours=colours)(first, second)
        for earlier in Path(self._folder.name).iterdir():
            if time.time() - earlier.stat().st_mtime > _FILES_LAST:
                shutil.rmtree(earlier, ignore_errors=True)
        path = Path(tempfile.mkdtemp(dir=self._folder.name)) / "fused.png"
        write_picture(fused, path)
        return path, [to_pillow(picture.flatten()) for picture in (first, second, fused)]

    def _network(self, name: str) -> FusionNetwork:
        if name not in self._loaded:
            self._loaded[name] = self.networks[name]().to(self.device)
        return self._loaded[name]


def app(weights: Sequence[Path | str] = (), device: str = "cpu", memory_limit: float = 6.0) -> Any:
    """Build the page, as Blocks of Gradio: ``app().launch()`` shows it, in a notebook too.

    Nothing is fetched from the internet and nothing is told to anybody.

    Args:
        weights: Networks to offer besides those of the package, as of `load_network`; the first is chosen at first.
        device: Where networks run, ``cpu`` or ``cuda``.
        memory_limit: The memory that a network may take, in GiB; what needs more is fused in tiles.

    Raises:
        FusionLabError: Gradio is not installed, or a network cannot be loaded.
    """
    gradio = _gradio()
    find_device(device)
    offered: dict[str, Callable[[], FusionNetwork]] = {}
    for given in weights:
        name = Path(given).stem if Path(given).is_file() else str(given)
        taken = name in offered or name in _NETWORKS
        offered[str(given) if taken else name] = partial(_same, load_network(given, device))
    others = {name: make for name, make in _NETWORKS.items() if name not in offered}
    page = App({**offered, **others}, device, memory_limit)

    with gradio.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=(_FILES_LAST, _FILES_LAST)) as blocks:
        gradio.Markdown(f"# {_TITLE}\nTwo images of one scene, of the same size, become one.")
        with gradio.Row():
            sources = [
                gradio.Image(label=label, type="filepath", image_mode=None, sources=["upload", "clipboard"], height=240)
                for label in ("A, such as the visible image", "B, such as the infrared image")
            ]
        for source in sources:
            # Our own reader knows more kinds of files, and has a sentence for each that it cannot read.
            source.preprocess = _path
        with gradio.Row():
            network = gradio.Dropdown(list(page.networks), value=next(iter(page.networks)), label="Network")
            colours = gradio.Radio(list(COLOURS), value="both", label="Colours of")
            begin = gradio.Button("Fuse", variant="primary")
        told = gradio.Markdown(visible=False, elem_id="told")
        with gradio.Column(visible=False) as result:
            side = gradio.Radio(list(_SIDES), value=next(iter(_SIDES)), label="Swipe between")
            slider = gradio.ImageSlider(
                label="Result", format="png", interactive=False, height=480, buttons=["fullscreen"], elem_id="swipe"
            )
            download = gradio.DownloadButton("Download PNG")
        shown = gradio.State()

        def fuse(a: str | None, b: str | None, name: str, whose: Colours, seen: str) -> list[Any]:
            try:
                path, images = page.fuse(a, b, name, whose)
            except FusionLabError as error:
                return [
                    gradio.Markdown(f"**{error}**", visible=True),
                    gradio.Column(visible=False), gradio.skip(), gradio.skip(), gradio.skip(),
                ]  # fmt: skip
            slide = (images[_SIDES[seen]], images[2])
            return [gradio.Markdown(visible=False), gradio.Column(visible=True), slide, str(path), images]

        def swipe(images: list[Any], seen: str) -> tuple[Any, Any]:
            return images[_SIDES[seen]], images[2]

        outputs = [told, result, slider, download, shown]
        begin.click(fuse, [*sources, network, colours, side], outputs, api_name="fuse")
        side.change(swipe, [shown, side], slider, api_visibility="private")
    return blocks


def serve(blocks: Any, port: int | None = None, wait: bool = True) -> str:
    """Show a page at an address of this machine alone.

    Args:
        blocks: The page, as `app` builds it.
        port: The port; a free one from 7860 on unless given.
        wait: Return when the page is stopped by Ctrl-C; otherwise at once.

    Returns:
        The address.

    Raises:
        FusionLabError: The port is taken.
    """
    gradio = _gradio()
    # The fonts of Gradio's own themes come from Google.
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    try:
        _, address, _ = blocks.launch(
            server_name="127.0.0.1", server_port=port, share=False, prevent_thread_lock=True, quiet=True, theme=theme,
            ssr_mode=False, footer_links=[], inbrowser=False,
        )  # fmt: skip
    except OSError:
        raise FusionLabError(f"The port {port} is taken: name another one, or none for one that is free.") from None
    if wait:
        print(f"The page is at {address} (Ctrl-C ends it).", flush=True)
        blocks.block_thread()
    return str(address)


def _path(dropped: Any) -> str | None:
    return dropped.path if dropped else None


def _same(network: FusionNetwork) -> FusionNetwork:
    return network


def _read(path: str, source: str) -> Any:
    try:
        return read_source(Path(path))
    except FusionLabError as error:
        # Where it lies here means nothing to who dropped it.
        told = str(error).replace(path, Path(path).name)
        raise FusionLabError(f"{source} cannot be used. {told}") from None


def _gradio() -> Any:
    import os

    # Looked at when Gradio is imported.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import gradio
    except ImportError:
        raise FusionLabError("The page needs the extra app: `pip install 'fusion_lab[app]'`.") from None
    return gradio
