"""Whether what a notebook prints and shows now is what it keeps."""

import base64
import io
import re
from collections.abc import Iterator

import numpy as np
from nbformat import NotebookNode
from PIL import Image

_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_TERMINAL = re.compile(r"\x1b\[[\d;]*m")
# Which of two equal means is the best one may change with the last digit.
_EMPHASIS = re.compile(r"\\textbf|\\underline|[*{}]")
_RULES = re.compile(r"[\s─━]+")
RELATIVE = 0.05
"""Training repeats to the bit on one machine; on another, rounding grows with every step."""
ABSOLUTE = 0.02
LEVELS = 4.0
"""How much two pictures may differ on average, in levels of 255."""


def differences(kept: NotebookNode, now: NotebookNode) -> list[str]:
    """Tell in words where the outputs of two executions differ by more than rounding."""
    found = []
    for old, new in zip(kept.cells, now.cells, strict=True):
        if old.source != new.source:
            found.append(f"{old.id}: the cell is another one")
        elif old.cell_type == "code":
            found += [f"{old.id}: {complaint}" for complaint in _outputs_differ(old.outputs, new.outputs)]
    return found


def _outputs_differ(kept: list[NotebookNode], now: list[NotebookNode]) -> Iterator[str]:
    old, new = _text(kept), _text(now)
    words = [_RULES.sub(" ", _EMPHASIS.sub("", _NUMBER.sub("#", text))).strip() for text in (old, new)]
    if words[0] != words[1]:
        yield f"it kept\n{old}\nand now prints\n{new}"
    else:
        before, after = (np.array([float(number) for number in _NUMBER.findall(text)]) for text in (old, new))
        if not np.allclose(before, after, rtol=RELATIVE, atol=ABSOLUTE):
            yield f"it kept the numbers\n{old}\nand now prints\n{new}"
    shown = [_pictures(outputs) for outputs in (kept, now)]
    if [picture.shape for picture in shown[0]] != [picture.shape for picture in shown[1]]:
        yield "it shows other pictures, or pictures of other sizes, than it kept"
        return
    for before, after in zip(*shown, strict=True):
        if (distance := float(np.abs(before - after).mean())) > LEVELS:
            yield f"a picture differs from the kept one by {distance:.1f} levels on average"


def _text(outputs: list[NotebookNode]) -> str:
    return _TERMINAL.sub("", "\n".join(text for output in outputs for text in texts(output)))


def texts(output: NotebookNode) -> list[str]:
    """Give all that an output says, each form of it."""
    if output.output_type == "stream":
        return [output.text]
    if output.output_type == "error":
        return [output.evalue, *output.traceback]
    return [text for form, text in sorted(output.data.items()) if form in ("text/plain", "text/markdown", "text/latex")]


def _pictures(outputs: list[NotebookNode]) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float) for o in outputs for data in pictures(o)]


def pictures(output: NotebookNode) -> list[bytes]:
    """Give the files of all pictures of an output."""
    return [
        base64.b64decode(data) for form, data in sorted(output.get("data", {}).items()) if form.startswith("image/")
    ]
