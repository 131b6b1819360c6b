"""`vidguard forge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vidguard.cli.outputs import SameFiles
from vidguard.cli.sources import Expanded, expand, mirrored
from vidguard.cli.terminal import complain, count_bar, defect, note, out, reason
from vidguard.errors import VidguardError
from vidguard.files import fitting_name
from vidguard.text import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vidguard.protocols.forger import Forger

FAILED: Final = 3


def forge(
    context: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE", help="Pictures and clips of a genuine face; folders, quoted globs."),
    ] = None,
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="self-blend, swap, mesh-swap, part-swap, reenactment or attribute.")
    ] = "self-blend",
    target: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The forged picture, or .mp4; with several sources a folder."),
    ] = None,
    donor: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Picture or clip of another person: for swaps and reenactment."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes every draw.")] = 0,
    strength: Annotated[
        float, typer.Option(min=0, max=10, help="Of every visible difference; 1 is as in training.")
    ] = 1.0,
    chain: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Then send it as messenger, social-480p, social-hevc or re-recorded."),
    ] = None,
    course: Annotated[
        str, typer.Option(metavar="NAME", help="How a clip's forgery goes on: steady, drift, flicker or dropout.")
    ] = "steady",
    start: Annotated[float | None, typer.Option("--from", metavar="SECONDS", help="Forge a clip from here.")] = None,
    end: Annotated[float | None, typer.Option("--to", metavar="SECONDS", help="Forge a clip up to here.")] = None,
    preview: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Draw each source's face as every kind of forgery, masks, and every chain."),
    ] = None,
    generate: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Forge no SOURCE: draw N faces of nobody, and a manifest, into --out."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors are shown.")] = False,
) -> None:
    """Forge the face in pictures and clips: to test a detector, or to see what it is up against.

    The face seen most is forged, the largest of several in a picture. Face meshes, which mesh-swap, part-swap and
    reenactment need, take: pip install ai-edge-litert && pip install --no-deps mediapipe==0.10.21
    """
    from vidguard.protocols.forger import Forger, Order

    if generate is not None:
        _generate(context, generate, target, seed, quiet=quiet)
        return
    if not sources:
        raise typer.BadParameter("name a picture or clip to forge, or --generate N faces", param_hint="SOURCE")
    if target is None and preview is None:
        raise typer.BadParameter("say where to write: --out FILE, --preview PNG, or both", param_hint="--out")
    order = Order(kind, seed, strength, chain, start, end, course)
    _check(order.kind, target, donor, preview)
    found = expand(sources)
    targets = _targets(found, target)
    _keep_apart(found, targets, donor, preview)
    for line in (*found.overlays, *found.passed_over):
        note(line)
    for problem in found.problems:
        complain(problem)
    failed = len(found.problems)
    if found.files:
        forger = Forger(order, donor, with_meshes=_wants_meshes(kind, preview))
        failed += _forge(forger, found, targets, preview, quiet=quiet, debug=context.obj.debug)
    raise typer.Exit(FAILED if failed else 0)


def _generate(context: typer.Context, count: int, folder: Path | None, seed: int, *, quiet: bool) -> None:
    """Draw faces of nobody into a folder."""
    from vidguard.training.generate import generate_faces

    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    if folder is None or given - {"generate", "target", "seed", "quiet"}:
        why = "draws faces from nothing; it goes with --out FOLDER, which it needs, --seed and --quiet alone"
        raise typer.BadParameter(why, param_hint="--generate")
    with count_bar("drawing", quiet=quiet) as advance:
        manifest = generate_faces(folder, count, seed=seed, advance=advance)
    if not quiet:
        out().print(f"{manifest}: {count} faces", markup=False, soft_wrap=True)


def _check(kind: str, target: Path | None, donor: Path | None, preview: Path | None) -> None:
    """Refuse, before networks are loaded, what can't be done."""
    from vidguard.forge import NEEDS_DONOR
    from vidguard.protocols.forger import PICTURE_SUFFIXES

    if target is not None and donor is None and kind in NEEDS_DONOR:
        raise typer.BadParameter(f"a {kind} needs another person's face: --donor FILE", param_hint="--donor")
    if preview is not None and preview.suffix.lower() not in PICTURE_SUFFIXES:
        raise typer.BadParameter(f"{preview} must end in one of {', '.join(PICTURE_SUFFIXES)}", param_hint="--preview")
    for option, path in (("--out", target), ("--preview", preview)):
        if path is not None and not path.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.parent}", param_hint=option)


def _targets(found: Expanded, target: Path | None) -> dict[Path, Path]:
    """Where each source's forgery goes; of several, without a suffix yet."""
    if target is None:
        return {}
    if found.several:
        if target.exists() and not target.is_dir():
            raise typer.BadParameter(f"{target} is a file; with several sources give a folder", param_hint="--out")
        return mirrored(found.files, target)
    if target.is_dir():
        raise typer.BadParameter(f"{target} is a folder; with one source give a file", param_hint="--out")
    return dict.fromkeys(found.files, target)


def _keep_apart(found: Expanded, targets: dict[Path, Path], donor: Path | None, preview: Path | None) -> None:
    """Refuse to write over what is read, or to one file twice."""
    from vidguard.protocols.forger import CLIP_SUFFIX, STILL_SUFFIX

    # which of both it will be shows only when a source is read
    suffixes = (STILL_SUFFIX, CLIP_SUFFIX) if found.several else ("",)
    written = [("--out", _named(path, suffix)) for path in targets.values() for suffix in suffixes]
    kept = {
        "the donor itself": SameFiles(() if donor is None else (donor,)),
        "the source itself": SameFiles(found.files),
    }
    taken: set[Path] = set()
    for option, path in written if preview is None else (*written, ("--preview", preview)):
        lost = next((what for what, files in kept.items() if path in files), None)
        if lost is None and path.resolve() in taken:
            lost = "where --out writes"
        if lost is not None:
            raise typer.BadParameter(f"{path} is {lost} and would be lost; give another name", param_hint=option)
        taken.add(path.resolve())


def _named(target: Path, suffix: str) -> Path:
    """Where one of several forgeries goes; a lone one, without a suffix to add, keeps the name it was given."""
    return target.with_name(fitting_name(target.name, f".forged{suffix}")) if suffix else target


def _wants_meshes(kind: str, preview: Path | None) -> bool:
    """Whether meshes would do good though they aren't needed, and can be had; says so where they can't."""
    from vidguard.faces.mesh import FaceMesh

    if kind != "attribute" and preview is None:
        return False
    try:
        FaceMesh()
    except VidguardError as error:
        complain(f"going on without face meshes: {error}")
        return False
    return True


def _forge(
    forger: Forger, found: Expanded, targets: dict[Path, Path], preview: Path | None, *, quiet: bool, debug: bool
) -> int:
    """Forge all files; gives the number of those that couldn't be."""
    from vidguard.video import write_picture

    sheets: list[NDArray[Any]] = []
    failed = 0
    with count_bar("forging", quiet=quiet) as advance:
        for number, file in enumerate(found.files, start=1):
            try:
                sheet, said = _one(forger, file, targets.get(file), several=found.several, preview=preview is not None)
            except VidguardError as error:
                failed += 1
                complain(f"{file}: {error}")
            except OSError as error:
                failed += 1
                complain(f"{file}: {reason(error, str(file))}")
            except Exception as error:  # one file that finds a defect must not take the others down
                if debug:
                    raise
                failed += 1
                complain(f"{file}: {defect(error)}")
            else:
                sheets += sheet
                if said and not quiet:
                    out().print(printable(said), markup=False, soft_wrap=True)
            advance(number, len(found.files))
    if preview is not None and sheets:
        import numpy as np

        write_picture(preview, np.concatenate(sheets))
        if not quiet:
            out().print(f"{preview}: {len(sheets)} faces", markup=False, soft_wrap=True)
    return failed


def _one(
    forger: Forger, file: Path, target: Path | None, *, several: bool, preview: bool
) -> tuple[list[NDArray[Any]], str]:
    """The file's preview, if one is wanted, and a line about its forgery, if one is written."""
    subject = forger.read(file)
    sheet = [forger.preview(subject)] if preview else []
    if target is None:
        return sheet, ""
    if several:
        target.parent.mkdir(parents=True, exist_ok=True)
        target = _named(target, subject.suffix)
    return sheet, forger.write(subject, target)
