"""A stand-in for the part of W&B's server that sweeps need: it proposes values, counts runs, and ends them early."""

import gzip
import itertools
import json
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import yaml

from fusion_lab.studies.search import Listed
from fusion_lab.studies.sweep_file import read_sweep

ENTITY, PROJECT = "lab", "fusion"
_OPERATION = re.compile(r"^\s*(?:query|mutation)\s+(\w+)")
_OWNER = {"id": "project", "name": PROJECT, "entity": {"id": "entity", "name": ENTITY}}


@dataclass
class Trial:
    """A run of a sweep as the server knows it.

    Attributes:
        name: Its id.
        sweep: The id of its sweep.
        values: What the server proposed.
        config: What the run said of itself, `{key: {"value": value}}`.
        history: The rows that it logged.
        summary: What it came to.
        exit_code: The code that it ended with, None while it runs.
    """

    name: str
    sweep: str
    values: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


class SweepServer(ThreadingHTTPServer):
    """Answer `wandb sweep`, `wandb agent` and the runs that agents start, on this machine alone.

    Args:
        ends_early: Tells of a trial that runs whether it is to end, and who is told, its agent or the run itself.
    """

    daemon_threads = True

    def __init__(self, ends_early: Callable[[Trial], Literal["agent", "run"] | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.trials: dict[str, Trial] = {}
        self.sweeps: dict[str, dict[str, Any]] = {}
        self.commands: list[tuple[str, str | None]] = []
        self.lock = threading.Lock()
        self._ends_early = ends_early
        self._proposals: dict[str, Iterator[dict[str, Any]]] = {}

    def answer(self, operation: str, given: dict[str, Any]) -> dict[str, Any] | None:
        """Return the data of an operation, None of one that is not known here."""
        if operation == "UpsertSweep":
            return self._upsert(given["config"])
        if operation == "SweepWithRuns":
            sweep = {"id": given["sweep"], "name": given["sweep"], "state": "RUNNING", "runs": {"edges": []}}
            return {"project": {"sweep": sweep | {"config": yaml.safe_dump(self.sweeps[given["sweep"]])}}}
        if operation == "CreateAgent":
            return {"createAgent": {"agent": {"id": given["sweep"]}}}
        if operation == "Heartbeat":
            commands = self._commands(given["id"], json.loads(given["runState"]))
            self.commands += [(command["type"], command.get("run_id")) for command in commands]
            return {"agentHeartbeat": {"agent": {"id": given["id"]}, "commands": json.dumps(commands)}}
        if operation == "UpsertBucket":
            return self._upsert_run(given)
        if operation == "RunResumeStatus":
            return {"model": {"name": PROJECT, "entity": {"name": ENTITY}, "bucket": None}}
        if operation == "Viewer":
            return {"viewer": {"id": "user", "username": ENTITY, "entity": ENTITY, "flags": "{}"}}
        return None

    def _upsert(self, config: str) -> dict[str, Any]:
        name = f"sweep{len(self.sweeps)}"
        self.sweeps[name] = yaml.safe_load(config)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(config)
            file.flush()
            self._proposals[name] = iter(list(Listed(read_sweep(Path(file.name)))))
        return {"upsertSweep": {"sweep": {"name": name, "project": _OWNER}, "configValidationWarnings": []}}

    def _commands(self, sweep: str, running: dict[str, bool]) -> list[dict[str, Any]]:
        ending = [name for name in running if self._ends_early(self.trials[name]) == "agent"]
        if running:
            return [{"type": "stop", "run_id": name} for name in ending]
        for values in itertools.islice(self._proposals[sweep], 1):
            name = f"{sweep}run{sum(trial.sweep == sweep for trial in self.trials.values())}"
            self.trials[name] = Trial(name, sweep, values)
            given = {key: {"value": value} for key, value in values.items()}
            return [{"type": "run", "run_id": name, "program": self.sweeps[sweep]["program"], "args": given}]
        return [{"type": "exit"}]

    def _upsert_run(self, given: dict[str, Any]) -> dict[str, Any]:
        trial = self.trials[given["name"]]
        trial.config |= json.loads(given.get("config") or "{}")
        bucket = {"id": given["name"], "name": given["name"], "displayName": given["name"], "sweepName": given["sweep"]}
        told = {"config": "{}", "project": _OWNER, "historyLineCount": len(trial.history)}
        return {"upsertBucket": {"bucket": bucket | told, "inserted": not trial.history}}

    def stream(self, run: str, body: dict[str, Any]) -> dict[str, Any]:
        """Take what a run logged; tells it to stop where it is to end."""
        trial = self.trials[run]
        for name, keep in (("wandb-history.jsonl", trial.history.append), ("wandb-summary.json", trial.summary.update)):
            for line in body.get("files", {}).get(name, {}).get("content", []):
                keep(json.loads(line))
        if body.get("complete"):
            trial.exit_code = body.get("exitcode")
        return {"stopped": trial.exit_code is None and self._ends_early(trial) == "run"}


class _Handler(BaseHTTPRequestHandler):
    server: SweepServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send({})

    def do_POST(self) -> None:
        body = self._body()
        with self.server.lock:
            if self.path.endswith("/file_stream"):
                self._send(self.server.stream(self.path.split("/")[-2], json.loads(body)))
            elif self.path == "/graphql":
                self._answer(**json.loads(body))
            else:
                # How the client itself fares.
                self._send({})

    def _answer(self, query: str, variables: dict[str, Any] | None = None, **rest: Any) -> None:
        [operation] = _OPERATION.findall(query)
        data = self.server.answer(operation, variables or {})
        self._send({"errors": [{"message": f"no {operation} here"}]} if data is None else {"data": data})

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _send(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""
