"""Fusing more than two images each: focus stacks and brackets of exposures, in files, folders, pages or frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from fusion_lab.data.images import IMAGE_SUFFIXES, Picture, check_image_suffix, write_picture
from fusion_lab.data.pairs import find_images, read_source
from fusion_lab.data.video.frames import read_frames
from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder
from fusion_lab.inference.fuser import Fuser
from fusion_lab.inference.image_files import FusedFiles
from fusion_lab.inference.tiling import Order


@dataclass(frozen=True)
class Stack:
    """The files of one scene, in order; a single file holds all of its images."""

    name: str
    files: list[Path]

    def read(self) -> list[Picture]:
        """Read all images.

        Raises:
            FusionLabError: A file cannot be read, there is only one image, or they differ in size.
        """
        pictures = read_frames(self.files[0]) if len(self.files) == 1 else [read_source(file) for file in self.files]
        if len(pictures) < 2:
            raise FusionLabError(f"The file {self.files[0]} holds a single image: fusing takes two or more.")
        sizes = {picture.size: index for index, picture in reversed(list(enumerate(pictures)))}
        if len(sizes) > 1:
            told = " and ".join(f"{width}x{height}" for height, width in sorted(sizes, key=lambda size: sizes[size]))
            raise FusionLabError(f"The images of {self.name} differ in size ({told}): bring them to one size first.")
        return pictures


def find_stacks(sources: Sequence[Path]) -> list[Stack]:
    """Tell what is fused together.

    Args:
        sources: Several files of one scene; or one file with several pages or frames; or a folder with the images of
            one scene; or a folder with a folder of images for each scene. The images of a folder go by their names.

    Raises:
        FusionLabError: A source is missing, folders and files are mixed, or a folder holds no images.
    """
    for source in sources:
        if not source.exists():
            raise FusionLabError(f"The source {source} does not exist: check the path.")
    folders = [source for source in sources if source.is_dir()]
    if not folders:
        return [Stack(sources[0].stem, list(sources))]
    if len(sources) > 1:
        raise FusionLabError(f"{folders[0]} is a folder: give several files, or one folder of scenes.")
    folder = folders[0]
    shown = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    if any(path.suffix.lower() in IMAGE_SUFFIXES for path in shown):
        return [Stack(folder.resolve().name, [path for _, path in sorted(find_images(Path(), str(folder)).items())])]
    scenes: dict[Path, list[Path]] = {}
    for _, path in sorted(find_images(folder, "{name}").items()):
        scenes.setdefault(path.parent, []).append(path)
    return [Stack(scene.relative_to(folder).as_posix(), files) for scene, files in scenes.items()]


def fuse_stacks(
    sources: Sequence[Path],
    out: Path,
    fuser: Fuser,
    order: Order = "fold",
    suffix: str | None = None,
    progress: bool = False,
) -> FusedFiles:
    """Fuse all images of each scene to one.

    Args:
        sources: What is fused together, as `find_stacks` finds it.
        out: The file of the result, or a folder that exists; for several scenes a folder, made if need be.
        fuser: What fuses.
        order: How networks of two sources take more of them (`fusion_lab.inference.tiling.fuse_many`).
        suffix: The format of results in a folder; ``.png`` unless given.
        progress: Show a bar on stderr.

    Raises:
        FusionLabError: A source is missing, or a result cannot be written or would replace a source; or the only scene
            cannot be fused. Of several scenes those that cannot are left out and told.
    """
    stacks = find_stacks(sources)
    several = len(stacks) > 1
    ending = f".{(suffix or 'png').lstrip('.')}"
    into = several or out.is_dir()
    targets = [out / f"{stack.name}{ending}" if into else out for stack in stacks]
    taken = {file.resolve() for stack in stacks for file in stack.files}
    for target in targets:
        check_image_suffix(target)
        if target.resolve() in taken:
            raise FusionLabError(f"The result {target} would replace a source: choose another output.")
    done = FusedFiles()
    jobs = list(zip(stacks, targets, strict=True))
    for stack, target in track(jobs, "Fusing", console=Console(stderr=True), disable=not (progress and several)):
        make_folder(target.parent)
        try:
            result = fuser.fuse_many(stack.read(), order)
        except FusionLabError as error:
            if not several:
                raise
            done.failed[target] = str(error)
            continue
        write_picture(result, target)
        done.written.append(target)
    return done
