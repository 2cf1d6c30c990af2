"""The commands, and what each does in a line: for the overview and for its own help."""

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
