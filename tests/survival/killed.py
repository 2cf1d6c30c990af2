"""Kill short runs at random times and let them go on, run as a script: ``killed.py CONFIG FOLDER KILLS SEED``."""

import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

# Imported once: every run is a fork of this process.
import fusion_lab.cli.trainer
from fusion_lab.cli.main import main

assert fusion_lab.cli.trainer


def begin(config: str, output: Path) -> int:
    """Begin a run, or go on with it, in a process of its own."""
    child = os.fork()
    if child:
        return child
    log = os.open(output.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os._exit(main(["fit", "--config", config, f"--exp.output={output}", "--exp.auto_resume=true"]))


def end(child: int) -> None:
    """Wait for the end of a run."""
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status


if __name__ == "__main__":
    config, folder = sys.argv[1], Path(sys.argv[2])
    drawn = random.Random(int(sys.argv[4]))
    start = time.monotonic()
    end(begin(config, folder / "whole"))
    duration = time.monotonic() - start
    for number in range(int(sys.argv[3])):
        output = folder / f"killed{number}"
        child = begin(config, output)
        time.sleep(drawn.uniform(0, duration))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        checkpoints = sorted(path.name for path in output.rglob("*.ckpt"))
        print(number, f"{duration:.1f}", checkpoints, flush=True)
        end(begin(config, output))
