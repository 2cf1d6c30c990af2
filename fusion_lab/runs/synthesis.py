"""Making the auxiliary task of a configuration by itself."""

import json
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from fusion_lab.data.auxiliary import Synthesis
from fusion_lab.errors import FusionLabError
from fusion_lab.runs.compose import compose
from fusion_lab.runs.mistakes import explain, first_cause


def load_synthesis(file: Path | None) -> tuple[Synthesis, dict[str, Any]]:
    """Make the ``data.init_args.auxiliary`` of a configuration, and describe it with all of its arguments.

    Args:
        file: The configuration; GIFNet's synthesis unless given.

    Raises:
        FusionLabError: There is none, or it is wrong.
    """
    chosen: Any = {"class_path": "fusion_lab.data.auxiliary.FocusSynthesis"}
    if file:
        part: Any = compose([file])
        for key in ("data", "init_args", "auxiliary"):
            part = part.get(key) if isinstance(part, dict) else None
        if part is None:
            raise FusionLabError(f"The configuration {file} has no `data.init_args.auxiliary`: name another.")
        chosen = part
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Synthesis, "auxiliary")
    try:
        config = parser.parse_object({"auxiliary": chosen})
        description = json.loads(parser.dump(config, format="json", skip_none=False))["auxiliary"]
        return parser.instantiate_classes(config).auxiliary, description
    except (ArgumentError, ValueError) as error:
        reason = explain(str(first_cause(error)), {"auxiliary": chosen}, {"auxiliary": Synthesis})
        raise FusionLabError(f"The configuration {file} is wrong: {reason}") from None
