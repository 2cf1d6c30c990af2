"""How fast networks fuse and train, against plain programs that compute the same, in turns: `make bench`.

    python benchmarks/speed.py [--rounds 3] [--threads 1] [--rows fuse-tita step-tita ...] [--long] [-o speed.json]

Each number comes from a fresh process that warms up on something small and then works once: CPU seconds, since other
programs may share the machine, wall seconds, and the peak of its memory. Ratios are medians over rounds in which both
sides took their turns. The floor is the time of the network's multiplications alone at the rate that this machine
reached for products of 4096 x 60 by 60 x 60. ``--long`` adds the loader and 24 megapixels.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training_steps import Work, gifnet_step, tita_step


def fuse_row(name: str, height: int = 480, width: int = 640) -> Callable[[bool], Work]:
    """Fuse one pair of a size that needs no padding."""

    def make(plain: bool) -> Work:
        import plain_networks
        import torch

        from fusion_lab.inference.tiling import fuse_luminance
        from fusion_lab.networks import TITA, GIFNet
        from fusion_lab.runs.memory import keep_freed_memory

        if not plain:
            # As the program does.
            keep_freed_memory(maps=False)
        torch.manual_seed(0)
        network = {"tita": TITA, "gifnet": GIFNet}[name]().eval()
        a, b = torch.rand(2, 1, 1, height, width).unbind()

        @torch.inference_mode()
        def fuse(rows: int = height) -> Any:
            if plain:
                return getattr(plain_networks, name)(network, a[:, :, :rows], b[:, :, :rows])
            return fuse_luminance(network, a[:, :, :rows], b[:, :, :rows])

        with torch.inference_mode():
            small = a[..., :70, :93], b[..., :70, :93]
            difference = (getattr(plain_networks, name)(network, *small) - network(*small)).abs().max()
        assert difference <= 2e-5, f"The plain network differs by {difference}."
        return lambda: fuse(64), fuse

    return make


def start_row(plain: bool) -> Work:
    """Fuse two images of 64 x 48 pixels by the whole program; beside it, the import of PyTorch alone."""
    import numpy as np
    from PIL import Image

    folder = Path(tempfile.mkdtemp())
    for name in "ab":
        Image.fromarray(np.arange(64 * 48, dtype=np.uint8).reshape(48, 64)).save(folder / f"{name}.png")
    fuse = ["-m", "fusion_lab.cli.main", "fuse", f"{folder}/a.png", f"{folder}/b.png", "-o", f"{folder}/f.png"]
    command = [sys.executable, *(["-c", "import torch"] if plain else fuse)]

    def run() -> None:
        subprocess.run(command, check=True, capture_output=True)

    return run, run


def loader_row(plain: bool) -> Work:
    """Cut 50 samples of the embedded data; beside it, only open and decode both images of as many pairs."""
    import numpy as np
    from PIL import Image

    from fusion_lab.data import Augmentation, PairDataset
    from fusion_lab.data.embedded import write_embedded_pairs

    folder = Path(tempfile.mkdtemp())
    write_embedded_pairs(folder)
    pairs = PairDataset(next(path.parent for path in sorted(folder.rglob("a")) if path.is_dir()))
    augmentation = Augmentation(64)

    def load() -> None:
        for i in range(50):
            if plain:
                pair = pairs.pairs[i % len(pairs)]
                for path in (pair.a, pair.b):
                    np.asarray(Image.open(path))
            else:
                pairs.sample(i % len(pairs), augmentation, i)

    return load, load


ROWS: dict[str, tuple[Callable[[bool], Work], float]] = {
    "fuse-tita": (fuse_row("tita"), 2 * 1.36e6 * 480 * 640),
    "fuse-gifnet": (fuse_row("gifnet"), 2 * 0.65e6 * 480 * 640),
    "step-tita": (tita_step(False), 4 * 2 * 1.36e6 * 6 * 64 * 64),
    "step-tita-bf16": (tita_step(True), 0),
    "step-gifnet": (gifnet_step(False), 0),
    "step-gifnet-bf16": (gifnet_step(True), 0),
    "start": (start_row, 0),
}
"""What each row does, and the multiplications and additions that it cannot do without; 0 where none are counted."""
LONG: dict[str, tuple[Callable[[bool], Work], float]] = {
    "load": (loader_row, 0),
    "fuse-tita-24-megapixels": (fuse_row("tita", 4000, 6000), 2 * 1.36e6 * 24e6),
}
ONE_SIDED = ("fuse-tita-24-megapixels",)


def measure(row: str, plain: bool, threads: int) -> dict[str, float]:
    """Do the work of a row in a fresh process."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    side = "plain" if plain else "ours"
    command = [sys.executable, __file__, "--work", row, side]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def work(row: str, plain: bool) -> dict[str, float]:
    """Warm up, do the work of a row in this process, and tell what it took."""
    warm, job = {**ROWS, **LONG}[row][0](plain)
    warm()
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)

    def cpu() -> float:
        return sum(resource.getrusage(kind).ru_utime + resource.getrusage(kind).ru_stime for kind in kinds)

    wall, before = time.perf_counter(), cpu()
    job()
    taken = {"cpu_s": cpu() - before, "wall_s": time.perf_counter() - wall}
    return {**taken, "peak_gb": max(resource.getrusage(kind).ru_maxrss for kind in kinds) * 1024 / 1e9}


def rate(threads: int) -> float:
    """Measure how many operations a second float32 products reach, the best of many."""
    import torch

    torch.set_num_threads(threads)
    x, weight = torch.rand(4096, 60), torch.rand(60, 60)
    best = 1e9
    for _ in range(300):
        start = time.perf_counter()
        torch.nn.functional.linear(x, weight)
        best = min(best, time.perf_counter() - start)
    return 2 * 4096 * 60 * 60 / best


def machine(threads: int) -> dict[str, Any]:
    """Say what ran this."""
    import torch

    model = "unknown"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": model,
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": threads,
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gflops": rate(threads) / 1e9,
    }


def compare(row: str, rounds: int, threads: int, floor: float | None) -> dict[str, Any]:
    """Let both sides take turns; gives medians."""
    sides: dict[str, list[dict[str, float]]] = {"plain": [], "ours": []}
    for _ in range(rounds):
        if row not in ONE_SIDED:
            sides["plain"].append(measure(row, True, threads))
        sides["ours"].append(measure(row, False, threads))
    told: dict[str, Any] = {
        side: {key: statistics.median(each[key] for each in runs) for key in runs[0]}
        for side, runs in sides.items()
        if runs
    }
    if sides["plain"]:
        both = zip(sides["plain"], sides["ours"], strict=True)
        told["ratio"] = statistics.median(plain["cpu_s"] / ours["cpu_s"] for plain, ours in both)
    return {**told, "floor_s": floor}


def line(row: str, told: dict[str, Any]) -> str:
    """Give a row of the table."""

    def cell(side: str) -> str:
        if side not in told:
            return "-"
        return "{cpu_s:.2f} s, {wall_s:.2f} s, {peak_gb:.2f} GB".format(**told[side])

    ratio = f"{told['ratio']:.2f}" if "ratio" in told else "-"
    floor = f"{told['floor_s']:.1f} s" if told["floor_s"] else "-"
    return f"| {row} | {cell('plain')} | {cell('ours')} | {ratio} | {floor} |"


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", nargs="+", choices=[*ROWS, *LONG], default=None)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=Path("speed.json"))
    parser.add_argument("--work", nargs=2, metavar=("ROW", "SIDE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        row, side = arguments.work
        print(json.dumps(work(row, side == "plain")))
        return
    told: dict[str, Any] = {"machine": machine(arguments.threads), "rows": {}}
    print("| row | plain: CPU, wall, peak | ours | ratio of CPU | floor |\n|---|---|---|---|---|")
    for row in arguments.rows or [*ROWS, *(LONG if arguments.long else [])]:
        operations = {**ROWS, **LONG}[row][1]
        floor = operations / told["machine"]["gflops"] / 1e9 if operations else None
        told["rows"][row] = compare(row, arguments.rounds, arguments.threads, floor)
        print(line(row, told["rows"][row]), flush=True)
    arguments.output.write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told["machine"]))


if __name__ == "__main__":
    main()
