"""Resolves inputs to scenes: files, folders, globs, lists, archives, catalogues and URLs."""

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bandsight.errors import SceneError
from bandsight.raster.drivers import check_remote, is_remote, raster_path, subdataset
from bandsight.sensors.profile import Profile, load_profiles
from indexer.folders import PACKED, SUFFIXES, catalogues, folder_files, scenes_of, swaths_without_images, zip_files
from indexer.source import Source
from indexer.stac_query import StacQuery
from indexer.unreadable import swath_problem, unreadable
from indexer.vrt import vrt_files

_STAC = "stac:"
_ITEM_FILES = {".json", ".geojson", ".parquet", ".geoparquet"}
# Product metadata files that may be passed instead of the folder.
_PRODUCT_FILES = {"manifest.safe", "mtd_msil1c.xml", "mtd_msil2a.xml", "xfdumanifest.xml"}


def find_scenes(
    inputs: Iterable[str | Path],
    profiles: Sequence[Profile] | None = None,
    query: StacQuery | None = None,
    left_out: list[Path] | None = None,
) -> list[Source]:
    """Return the scenes that inputs name, without duplicates. Unreadable inputs become sources with a problem.

    Args:
        inputs: Each is a raster, a folder (searched recursively), a glob, a zip, a tar, a VRT, a text file with one
            input per line, a URL of a raster, a STAC item, item collection, catalogue or stac-geoparquet file, or
            `stac:URL` for a search.
        profiles: Profiles that define band names; None for the built-in ones.
        query: Query for `stac:URL` inputs.
        left_out: List to which ancillary files are appended.
    """
    known = load_profiles() if profiles is None else profiles
    files: dict[Path, None] = {}
    sources: list[Source] = []
    for entry in _expanded(inputs, sources):
        try:
            if entry.startswith(_STAC) or _is_item_file(entry):
                # One by one, to keep what was found before an error.
                for source in _of_stac(entry, known, query or StacQuery(), sources):
                    sources.append(source)  # noqa: PERF402
            elif is_remote(entry) or subdataset(entry):
                sources.append(Source(name=raster_path(entry).name or entry, hrefs=(entry,)))
            else:
                path = Path(entry).expanduser().absolute()
                catalogued = _catalogued(path, known, sources)
                files.update((file, None) for file in _local(path, sources) if str(file) not in catalogued)
        except SceneError as error:
            sources.append(_unreadable(entry, error))
        except OSError as error:
            sources.append(_forbidden(error, entry))
    together = sorted(sources, key=lambda source: source.hrefs) + scenes_of(files, known, left_out)
    return list({(source.hrefs, source.problem): source for source in map(_sayable, together)}.values())


def _is_item_file(entry: str) -> bool:
    path = raster_path(entry)
    return path.suffix.lower() in _ITEM_FILES and not path.stem.upper().endswith("_MTL")


def _of_stac(entry: str, profiles: Sequence[Profile], query: StacQuery, sources: list[Source]) -> Iterator[Source]:
    # Imported lazily, because it takes longer than everything else.
    from indexer.stac import items_of, search_items, source_of

    def unread(name: str, error: SceneError) -> None:
        sources.append(_unreadable(name, error))

    items = search_items(entry[len(_STAC) :], query) if entry.startswith(_STAC) else items_of(entry, unread)
    return (source_of(item, profiles) for item in items)


def _catalogued(path: Path, profiles: Sequence[Profile], sources: list[Source]) -> set[str]:
    """Append the scenes of STAC catalogues in a folder, and return the files they name, which are no other scenes."""
    found: set[str] = set()
    for catalogue in catalogues(path) if path.is_dir() else ():
        # Imported lazily, because it takes longer than everything else.
        from indexer.stac import asset_hrefs, items_of, source_of

        try:
            for item in items_of(str(catalogue), lambda name, error: sources.append(_unreadable(name, error))):
                sources.append(source_of(item, profiles))
                found |= asset_hrefs(item)
        except SceneError as error:
            sources.append(_unreadable(str(catalogue), error))
    return found


def check_inputs(inputs: Iterable[str]) -> None:
    """Check inputs for likely typos before starting a job.

    Raises:
        SceneError: A local path does not exist, or a URL names no file.
    """
    for text in inputs:
        if is_remote(text):
            check_remote(text)
            continue
        away = text.startswith(_STAC) or subdataset(text) or glob.has_magic(text)
        try:
            if not away and not Path(text).expanduser().exists():
                raise SceneError(f"{text}: no such file or folder; pass paths of scenes")
        except OSError as error:
            raise SceneError(
                f"{text}: cannot be read ({error.strerror}); check the path and its permissions"
            ) from error


def _expanded(inputs: Iterable[str | Path], sources: list[Source]) -> Iterator[str]:
    """Yield inputs with globs and text lists expanded."""
    for one in inputs:
        text = str(one)
        path = Path(text).expanduser()
        if glob.has_magic(text) and not is_remote(text) and not text.startswith(_STAC) and not path.exists():
            found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  (the pattern may be absolute)
            if not found:
                sources.append(_unreadable(text, SceneError(f"{text}: no files match; check the pattern")))
            yield from found
        elif path.suffix.lower() == ".txt" and _is_file(path) and not path.stem.upper().endswith("_MTL"):
            try:
                listed = list(_listed(path))
            except OSError as error:
                sources.append(_forbidden(error, text))
                continue
            # Nested lists are not followed, because they could be circular.
            lists = [one for one in listed if Path(one).suffix.lower() == ".txt"]
            yield from _expanded([one for one in listed if one not in lists], sources)
            yield from lists
        else:
            yield text


def _listed(path: Path) -> Iterator[str]:
    """Yield the inputs in a text file: one per line, relative to the file; # starts a comment."""
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        away = is_remote(text) or text.startswith(_STAC) or subdataset(text)
        yield text if away else str(path.parent / Path(text).expanduser())


def _local(path: Path, sources: list[Source]) -> Iterator[Path]:
    """Yield the rasters of a local path."""
    lower = path.name.lower()

    def unread(error: OSError) -> None:
        sources.append(_forbidden(error, str(path)))

    if path.is_dir():
        yield from _in_folder(path, sources, unread)
    elif path.suffix.lower() in PACKED:
        yield from zip_files(path)
    elif problem := unreadable(path):
        sources.append(_refused(path, problem))
    elif path.suffix.lower() == ".vrt":
        yield from vrt_files(path)
    elif lower in _PRODUCT_FILES:
        yield from folder_files(path.parent, unread)
    elif path.stem.upper().endswith("_MTL"):
        stem = path.stem[: -len("_MTL")]
        beside = (file for file in folder_files(path.parent, unread) if file.suffix.lower() in SUFFIXES)
        yield from (file for file in beside if file.name.startswith(stem))
    elif lower.endswith(".hdr"):
        yield from _of_header(path)
    else:
        yield path


def _in_folder(path: Path, sources: list[Source], unread: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield the rasters in a folder and its subfolders."""
    for file in folder_files(path, unread):
        if file.suffix.lower() in PACKED:
            try:
                yield from zip_files(file)
            except SceneError as error:
                sources.append(_unreadable(str(file), error))
        elif problem := unreadable(file):
            sources.append(_refused(file, problem))
        elif _leads_out(file, path):
            outside = SceneError(f"{file}: a link to {file.resolve()}, outside {path}; pass that path itself")
            sources.append(_unreadable(str(file), outside))
        else:
            yield file
    sources.extend(_refused(swath, swath_problem(swath)) for swath in sorted(swaths_without_images(path)))


def _refused(file: Path, problem: str) -> Source:
    return Source(name=file.name, hrefs=(str(file),), problem=problem)


def _of_header(header: Path) -> Iterator[Path]:
    """Yield the data file of an ENVI header: its name without .hdr, or with another suffix."""
    bare = header.with_suffix("")
    ends = ("", ".img", ".dat", ".bsq", ".bil", ".bip", ".raw")
    found = next((file for end in ends if (file := Path(f"{bare}{end}")).is_file()), None)
    if found is None:
        raise SceneError(f"{header}: its data file is missing; need {bare.name} or {bare.name}.img")
    yield found


def _leads_out(file: Path, root: Path) -> bool:
    return file.is_symlink() and not file.resolve().is_relative_to(root.resolve())


def _sayable(source: Source) -> Source:
    """Return a source, with a problem if a name is not valid text, because the catalog could not store it."""
    for text in (source.name, *source.hrefs):
        shown = text.encode(errors="backslashreplace").decode()
        if shown != text:
            return _unreadable(shown, SceneError(f"{shown}: its name is not valid UTF-8; rename it"))
    return source


def _is_file(path: Path) -> bool:
    """Return whether a path is a file. Access errors are reported when it is opened."""
    try:
        return path.is_file()
    except OSError:
        return False


def _forbidden(error: OSError, name: str) -> Source:
    place = str(error.filename or name)
    return _unreadable(
        place, SceneError(f"{place}: cannot be read ({error.strerror}); check the path and its permissions")
    )


def _unreadable(name: str, error: SceneError) -> Source:
    return Source(name=name, hrefs=(name,), problem=str(error))
