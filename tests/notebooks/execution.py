"""Executing notebooks as a reader would: a clean copy, a folder of its own, the kernel of this interpreter.

``python -m tests.notebooks.execution notebooks/*.ipynb`` writes what they print and show into the files themselves.
"""

import copy
import os
import resource
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets import default

from tests.notebooks.agreement import differences

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = REPOSITORY / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""All that a notebook says of where it was executed."""
_LONGEST_CELL = 240


class OwnKernel(AsyncKernelManager):
    """The kernel of this interpreter, whatever kernels are installed for whomever."""

    @default("kernel_spec_manager")
    def _nothing_installed(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def clean(notebook: NotebookNode) -> NotebookNode:
    """Give a copy without outputs, whose metadata tell of no machine."""
    bare = copy.deepcopy(notebook)
    bare.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(bare.cells, 1):
        cell.id = f"cell-{number:02d}"
        cell.metadata = NotebookNode()
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return bare


def execute(notebook: NotebookNode, folder: Path, temporary: Path) -> NotebookNode:
    """Run a clean copy in ``folder``; ``temporary`` is where it finds room for files of its own.

    Raises:
        CellExecutionError: A cell failed.
    """
    bare = clean(notebook)
    client = NotebookClient(
        bare,
        kernel_manager_class=OwnKernel,
        timeout=_LONGEST_CELL,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    # The settings of whoever runs this, such as files that IPython executes at its start, are theirs.
    own = {"OMP_NUM_THREADS": "1", "TMPDIR": str(temporary), "IPYTHONDIR": str(folder / ".ipython")}
    client.execute(env={**os.environ, **own})
    bare.metadata = nbformat.from_dict(METADATA)
    for cell in bare.cells:
        if cell.cell_type == "code":
            # A progress bar that is done leaves an empty display behind.
            cell.outputs = [output for output in cell.outputs if not _is_empty(output)]
    return bare


def _is_empty(output: NotebookNode) -> bool:
    return (
        output.output_type == "display_data"
        and set(output.data) <= {"text/plain", "text/html"}
        and not (output.data.get("text/plain", "").strip())
    )


def check(name: str, folder: Path, temporary: Path) -> None:
    """Execute a notebook as it is kept, and compare what it prints and shows with what it keeps."""
    kept = read(NOTEBOOKS / f"{name}.ipynb")
    done = execute(kept, folder, temporary)
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    complaints = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    # pytest rewrites no assertions here, and would not show them.
    if complaints := complaints or differences(kept, done):
        raise AssertionError("\n".join(complaints))


def main(paths: list[str]) -> None:
    """Execute notebooks and keep their outputs."""
    before = 0.0
    for path in map(Path, paths):
        with tempfile.TemporaryDirectory() as folder:
            done = execute(read(path), Path(folder), Path(tempfile.gettempdir()))
        nbformat.write(done, path)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = usage.ru_utime + usage.ru_stime - before
        before += seconds
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB, {seconds:.0f} s of CPU")


if __name__ == "__main__":
    main(sys.argv[1:])
