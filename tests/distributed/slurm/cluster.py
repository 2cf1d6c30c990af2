"""A Slurm cluster of two nodes on this machine, without systemd, cgroups or accounting."""

import getpass
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Two addresses of this machine: whatever asks for the first node of a job finds it.
_NODES = ("127.0.0.1", "127.0.0.2")
_CONFIGURATION = """
ClusterName=tiny
SlurmctldHost={host}
SlurmctldPort=16817
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n.spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2
ReturnToService=2
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=127.0.0.[1-2] CPUs=4 Port=[16818-16819]
PartitionName=main Nodes=ALL Default=YES PriorityTier=1
PartitionName=graceful Nodes=ALL PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL PriorityTier=9 PreemptMode=OFF
"""
_PATIENCE = 40


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start Slurm in a folder, give the environment in which its commands find it, and stop it.

    It needs the Debian packages slurm-wlm and munge. The partition ``main`` requeues its jobs for those of ``urgent``,
    ``graceful`` gives them a minute before.
    """
    for name in ("state", *(f"{node}.spool" for node in _NODES)):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    configuration = folder / "slurm.conf"
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, host=socket.gethostname(), user=getpass.getuser()).lstrip()
    )
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    files = {"key-file": key.name, "socket": "munge.socket", "pid-file": "munged.pid"}
    files |= {"log-file": "munged.log", "seed-file": "munge.seed"}
    commands = [["munged", "--force", *(f"--{option}={folder / name}" for option, name in files.items())]]
    commands += [["slurmctld", "-c"], *(["slurmd", "-N", node] for node in _NODES)]
    try:
        for command in commands:
            subprocess.run(command, env=environment, check=True, capture_output=True)
        _wait(
            environment, ["sinfo", "--noheader", "--partition=main", "--states=idle", "--format=%D"], str(len(_NODES))
        )
        yield environment
    finally:
        # Jobs would outlive the cluster.
        subprocess.run(["scancel", f"--user={getpass.getuser()}"], env=environment, check=False, capture_output=True)
        with suppress(RuntimeError):
            _wait(environment, ["squeue", "--noheader"], "")
        for name in (*_NODES, "slurmctld", "munged"):
            with suppress(OSError, ValueError):
                os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGTERM)


def _wait(environment: dict[str, str], asked: list[str], answer: str) -> None:
    for _ in range(_PATIENCE):
        done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
        if (done.returncode, done.stdout.strip()) == (0, answer):
            return
        time.sleep(1)
    raise RuntimeError(f"Slurm does not answer '{answer}' to {' '.join(asked)}: {done.stdout}{done.stderr}")
