"""Fetching a data set into the layout that its configuration expects."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fusion_lab.errors import FusionLabError, first_few
from fusion_lab.files import make_folder, sha256, working_folder
from fusion_lab.public.archives import BrokenArchiveError, unpack
from fusion_lab.public.data_sets import PublicDataSet
from fusion_lab.public.download import download
from fusion_lab.public.manifest import Sums, differences, read_manifest, write_manifest


@dataclass(frozen=True)
class Fetched:
    """What was fetched.

    Attributes:
        folder: The new folder of the data set.
        files: How many files it has.
        archive: The archive, which is kept: other sets may come out of it.
        manifest: The checksums of all files.
        compared: Whether the manifest was there before, and told the same.
    """

    folder: Path
    files: int
    archive: Path
    manifest: Path
    compared: bool


def fetch_data_set(data_set: PublicDataSet, root: Path, progress: bool = False) -> Fetched:
    """Fetch a data set, all of it or nothing.

    The archive of its repository comes to ``root/downloads`` and is unpacked beside the final folder, compared with the
    checksums that are known and with the manifest of an earlier time, if there is one, and only then renamed.

    Args:
        data_set: One with a repository.
        root: The folder of all data sets, ``exp.data_root``.
        progress: Show a bar on stderr.

    Raises:
        FusionLabError: The folder of the data set is there already, the archive cannot be fetched or is broken, its
            files are not those that are known, or there is no room.
    """
    repository = data_set.repository
    if repository is None:
        raise FusionLabError(f"The data set {data_set.name} can only be got by hand.")
    (name,) = data_set.folders
    folder = make_folder(root) / name
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise FusionLabError(
            f"The folder {folder} is there already: `fusion-lab data check {root} --as {data_set.name}` tells whether "
            "it is whole; remove it to fetch it anew."
        )
    archive = download(repository.archive, root / "downloads" / repository.file_name, progress)
    with working_folder(root, name) as temporary:
        try:
            files = unpack(archive, temporary, repository.take)
            sums = {file.relative_to(temporary).as_posix(): sha256(file) for file in files}
            _check_known(data_set, repository.known, sums)
        except BrokenArchiveError:
            # It would be taken for a good one the next time.
            archive.unlink(missing_ok=True)
            raise
        manifest = root / f"{data_set.name}.sha256"
        compared = manifest.is_file()
        if compared:
            _check_recorded(data_set, manifest, sums)
        else:
            source = f"{repository.name} at {repository.commit or 'its newest state'}"
            write_manifest(manifest, sums, f"{data_set.name}: {len(sums)} files of {source}")
        try:
            if folder.is_dir():
                folder.rmdir()
            (temporary / name).rename(folder)
        except OSError as error:
            raise FusionLabError(f"The folder {folder} cannot be made ({error.strerror}).") from None
    return Fetched(folder, len(files), archive, manifest, compared)


def _check_known(data_set: PublicDataSet, known: Mapping[str, str], sums: Sums) -> None:
    for path, expected in known.items():
        if sums.get(path) != expected:
            what = f"has the SHA-256 {sums[path]}, not {expected}" if path in sums else "is missing"
            raise BrokenArchiveError(
                f"What was fetched is not the {data_set.title} that is known: {path} {what}; nothing was unpacked."
            )


def _check_recorded(data_set: PublicDataSet, manifest: Path, sums: Sums) -> None:
    if differing := differences(read_manifest(manifest), sums):
        raise FusionLabError(
            f"What was fetched is not what {manifest} has recorded ({', '.join(first_few(differing))}): nothing "
            "was unpacked; remove the manifest to take the new state."
        )
