"""``fusion-lab data``: get public data sets and check them, or make multi-focus data from visible-infrared pairs."""

import sys
from functools import partial
from pathlib import Path

from fusion_lab.cli.arguments import make_parser, parse, run_group, show
from fusion_lab.cli.data_focus import make, sheet

# PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.


def _list(argv: list[str]) -> int:
    parse(make_parser("data list"), argv)
    from fusion_lab.public.data_sets import data_sets

    show([data_set.summary for data_set in data_sets().values()], unbroken=["name", "pairs", "configs/data/"])
    return 0


def _get(argv: list[str]) -> int:
    parser = make_parser("data get")
    parser.add_argument("name", type=str, metavar="NAME", help="a name that `fusion-lab data list` tells")
    root = "folder of all data sets, as --exp.data_root"
    parser.add_argument("-o", "--output", type=Path, default=Path("data"), metavar="DIR", help=root)
    args = parse(parser, argv)
    from fusion_lab.public.data_sets import find_data_set
    from fusion_lab.public.fetching import fetch_data_set

    data_set = find_data_set(args.name)
    check = f"fusion-lab data check {args.output} --as {data_set.name}"
    if data_set.repository is None:
        print(data_set.how_to_get(args.output))
        if data_set.parts and not data_set.command:
            print(f"Then:    {check}")
        return 0
    fetched = fetch_data_set(data_set, args.output, progress=sys.stderr.isatty())
    compared = "as recorded before" if fetched.compared else "recorded"
    manifest = f"their checksums are {compared} in {fetched.manifest}"
    print(f"{fetched.files} files of {data_set.title} are in {fetched.folder}; {manifest}.")
    print(f"Terms: {data_set.terms} ({data_set.home}).\nThe archive {fetched.archive} can be removed.")
    print(f"Then:  {check} --manifest {fetched.manifest}")
    return 0


def _check(argv: list[str]) -> int:
    details = ". The exit code is 1 where something is wrong; a data set of which only a part is there is not wrong"
    add = (parser := make_parser("data check", details)).add_argument
    add("folder", type=Path, metavar="DIR", help="folder of all data sets, or of one")
    add("--as", type=str, metavar="NAME", help="look for this data set only; guessed otherwise")
    manifest = "list of SHA-256 as of sha256sum, by paths below DIR: compared if it is there, else written"
    add("--manifest", type=Path, metavar="FILE", help=manifest)
    args = parse(parser, argv)
    from fusion_lab.data.checking import check, compare_sums
    from fusion_lab.data.recognition import recognise
    from fusion_lab.errors import first_few
    from fusion_lab.public.manifest import digest

    base, found = recognise(args.folder, args["as"])
    results, sums = check(found, base, progress=sys.stderr.isatty())
    show([result.summary for result in results], unbroken=["folder"])
    wrong = [f"{result.found.folder}: {line}" for result in results for line in first_few(result.problems)]
    if args.manifest:
        compared = compare_sums(args.manifest, sums, base, found if args["as"] else ())
        print(compared)
        wrong += [f"{args.manifest}: {line}" for line in first_few(compared.differences)]
    print(*wrong, f"{len(sums)} images, all together with the SHA-256 {digest(sums)}.", sep="\n")
    return 1 if wrong else 0


main = partial(run_group, "data", {"list": _list, "get": _get, "check": _check, "make-focus": make, "sheet": sheet})
