"""The commands, and what each does in a line: for the overviews and for its own help."""

from collections.abc import Mapping

COMMANDS = {
    "fit": "train a network as a configuration says",
    "validate": "score a checkpoint on the validation pairs of a configuration",
    "test": "score a checkpoint on the test pairs of a configuration",
    "predict": "fuse the prediction pairs of a configuration into image files",
    "ablate": "run several experiments over several seeds and compare them in one table",
    "submit": "train on a cluster through Slurm or on this machine, a process for each GPU; it goes on when preempted",
    "sweep": "run a sweep file of W&B without a server, and compare its runs in one table",
    "fuse": "fuse two images or videos, a stack, or two folders of images paired by name",
    "align": "bring images onto the grid of others of the same scene",
    "enhance": "bring out the details of an image, or of a folder of images",
    "evaluate": "score fused images by the metrics of a published table, or by any others",
    "compare": "score several methods and compare them in the table of a paper",
    "report": "score several methods and show them, image by image, on one page for the browser",
    "explain": "show what a network decides inside, such as the weights of its operations",
    "app": "show a page to fuse images in the browser, on this machine alone",
    "profile": "tell what networks cost: parameters, operations, time and memory",
    "export": "write a network as an ONNX file, for programs without PyTorch",
    "weights": "list, get and convert weights, or look into them",
    "data": "list, get and check public data sets, or make multi-focus data from visible-infrared pairs",
    "demo": "fuse, fine-tune, score and show on the embedded data, in minutes",
}
GROUPS = {
    "explain": {
        "weights": "draw the weights that OAF gives its operations for each task, and write them as CSV beside",
        "features": "draw what GIFNet's encoder and branches see in a pair: the mean strength of their features",
    },
    "weights": {
        "list": "list the weights that are shipped or can be fetched, their source, terms, and whether they are here",
        "get": "fetch published weights, make sure that they are the known ones, and convert them",
        "convert": "write a checkpoint as .safetensors of fusion_lab",
        "info": "tell which network a file holds",
    },
    "data": {
        "list": "list the public data sets: tasks, pairs, size, terms, how each is got, its configuration",
        "get": "fetch a public data set as its configuration expects it, or tell how to get it by hand",
        "check": "count the pairs of data sets, read every image, and write or compare checksums",
        "make-focus": "write near- and far-focused versions of visible images, in the layout of GIFNet's release",
        "sheet": "draw twelve scenes as a contact sheet: clear, focus map, near, far",
    },
}
TRAINER_COMMANDS = ("fit", "validate", "test", "predict")
MOVED = {
    "cifar100": "`fusion-lab cifar100` is an example of the repository now: `python -m examples.cifar100`, in a clone, "
    "with the same options."
}
"""What a command that there was says of its new place."""


def usage(program: str, summary: str, commands: Mapping[str, str]) -> str:
    """Return the overview of commands."""
    rows = "\n".join(f"  {name:<10} {text}" for name, text in commands.items())
    return (
        f"usage: {program} COMMAND [options]\n\n{summary[0].upper()}{summary[1:]}.\n\ncommands:\n{rows}\n\n"
        f"`{program} COMMAND --help` tells the options of a command."
    )
