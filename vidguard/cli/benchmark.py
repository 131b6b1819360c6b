"""`vidguard benchmark`: the field's data sets by the field's protocols."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vidguard.cli.options import Device, Quiet, Sandboxed, Weights
from vidguard.cli.terminal import complain, count_bar, out
from vidguard.errors import InputError

if TYPE_CHECKING:
    from vidguard.protocols.items import Listing
    from vidguard.protocols.layouts import LayoutOptions
    from vidguard.protocols.protocol import Protocol
    from vidguard.protocols.result import Comparison, Estimate, Result, Robustness
    from vidguard.protocols.run import MakeSubject
    from vidguard.protocols.scores import Score

FAILED: Final = 3
_UNREADABLE: Final = ("error", "undecodable")
_DATASETS: Final = {
    "ffpp": "FaceForensics++ in its official layout, methods and compressions separately and pooled.",
    "dfdc": "DFDC: training parts with metadata.json, or a test set with labels.csv.",
    "dfdcp": "DFDC preview set with dataset.json.",
    "celebdf": "Celeb-DF v1 or v2 with List_of_testing_videos.txt (in which 1 means real).",
    "wilddeepfake": "WildDeepfake: sequences of face crops.",
    "ffiw": "FFIW10K: several faces in a video, some of them forged.",
    "folder": "A folder with real/ and fake/ (and, in fake/, a folder for each method if you like).",
    "csv": "A manifest with the columns path,label and, if known, method,source,compression,split.",
}
_EPILOG: Final = """
Examples:

  vidguard benchmark ffpp FaceForensics++ --compression c23 --out ffpp-c23

  vidguard benchmark celebdf Celeb-DF-v2 --protocol deepfakebench --out celebdf

  vidguard benchmark csv clips.csv --workers 4 --out mine

  vidguard benchmark compare mine/result.json other/result.json --out comparison

--out gets result.json, result.html, result.md, videos.csv, frames.csv and segments.csv. A stopped run goes on when
it is started again. Exit codes: 0 every item was scored, 3 some could not be read (they count as no decision), 2 usage.
"""

app = typer.Typer(
    name="benchmark",
    help="Measure a detector on a public data set, or your own, by a published protocol.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Root = Annotated[Path, typer.Argument(metavar="ROOT", help="Folder of the data set; for csv, the manifest.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for results and scores.")]
Split = Annotated[str, typer.Option(metavar="NAME", help="train, val, test or all.")]
Methods = Annotated[
    list[str] | None, typer.Option("--method", metavar="NAME", help="Only this forging method (repeatable).")
]
Compressions = Annotated[
    list[str] | None, typer.Option("--compression", metavar="NAME", help="raw, c23 or c40 (repeatable); FF++ only.")
]
ProtocolName = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        metavar="NAME",
        help="vidguard, deepfakebench or dfdc.  [default: vidguard; for crops deepfakebench]",
    ),
]
Workers = Annotated[int | None, typer.Option(metavar="N", min=1, help="Processes.  [default: one a core; 2 on a GPU]")]


def _command(dataset: str) -> Callable[..., None]:
    def measure(
        root: Root,
        out_dir: Out = Path("vidguard-benchmark"),
        split: Split = "test",
        methods: Methods = None,
        compressions: Compressions = None,
        protocol: ProtocolName = None,
        weights: Weights = None,
        device: Device = None,
        workers: Workers = None,
        sandbox: Sandboxed = True,
        quiet: Quiet = False,
    ) -> None:
        from vidguard.protocols.layouts import LayoutOptions

        options = LayoutOptions(split, _chosen(methods), _chosen(compressions))
        listing = _layout(dataset)(root, options)
        make_subject, number = _subject(weights, device, workers, sandboxed=sandbox)
        _conduct(listing, make_subject, _protocol(protocol, listing), out_dir, number, quiet=quiet)

    measure.__doc__ = _DATASETS[dataset]
    return measure


for _name, _help in _DATASETS.items():
    app.command(name=_name, help=_help)(_command(_name))


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A.json", help="result.json of one detector.")],
    b: Annotated[Path, typer.Argument(metavar="B.json", help="result.json of another, on the same items.")],
    out_dir: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for comparison.html and comparison.md.")
    ] = None,
) -> None:
    """Hold two results against each other: paired DeLong test and paired bootstrap on the items both decided."""
    from vidguard.protocols.conduct import compare_results

    first, second, comparison = compare_results(a, b, out_dir)
    _show_comparison(first, second, comparison)
    if out_dir is not None:
        out().print(f"wrote {out_dir / 'comparison.html'}", markup=False)


@app.command()
def robustness(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help=f"{', '.join(_DATASETS)}.")],
    root: Root,
    out_dir: Out = Path("vidguard-robustness"),
    split: Split = "test",
    corruptions: Annotated[
        list[str] | None, typer.Option("--corruption", metavar="NAME", help="Only this corruption (repeatable).")
    ] = None,
    protocol: ProtocolName = None,
    weights: Weights = None,
    device: Device = None,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Measure the same videos again, compressed, scaled, blurred, darkened ...: a curve for every corruption.

    The items of DATASET must be videos. Each level is a benchmark of its own below --out.
    """
    from vidguard.protocols.layouts import LayoutOptions
    from vidguard.protocols.robustness import measure_robustness

    listing = _layout(dataset)(root, LayoutOptions(split))
    make_subject, number = _subject(weights, device, workers)
    chosen = _protocol(protocol, listing)
    _tell(listing)
    failed: set[str] = set()

    def count(score: Score, done: int, total: int) -> None:
        advance(done, total)
        if score.status in _UNREADABLE:
            failed.add(score.id)

    with count_bar("corrupted videos", quiet=quiet) as advance:
        table = measure_robustness(
            listing,
            make_subject,
            chosen,
            out_dir,
            corruptions=_chosen(corruptions),
            workers=number,
            on_score=count,
        )
    if not quiet:
        _show_robustness(table)
        out().print(f"wrote {out_dir / 'robustness.html'}", markup=False, soft_wrap=True)
    for name in sorted(failed):
        complain(f"{name} could not be read at some level; details are in the levels' videos.csv")
    raise typer.Exit(FAILED if failed else 0)


@app.command()
def partial(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Pristine clips with a face, searched recursively.")],
    out_dir: Out = Path("vidguard-partial"),
    seed: Annotated[int, typer.Option(help="Of the forgeries.")] = 0,
    weights: Weights = None,
    device: Device = None,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Forge stretches of known place into pristine clips and measure how well they are found.

    The forged clips are kept in DIR/clips, with their truth in clips.csv.
    """
    from vidguard.protocols.partial import forge_clips
    from vidguard.protocols.protocol import VIDGUARD

    make_subject, number = _subject(weights, device, workers)
    _require_charts()
    with count_bar("forging", quiet=quiet) as advance:
        listing = forge_clips(folder, out_dir / "clips", seed=seed, on_clip=advance)
    _conduct(listing, make_subject, VIDGUARD, out_dir, number, quiet=quiet)


def _layout(dataset: str) -> Callable[[Path, LayoutOptions], Listing]:
    from vidguard.protocols.layouts import LAYOUTS

    if dataset not in LAYOUTS:
        raise InputError(f"no data set {dataset!r}; choose of {', '.join(LAYOUTS)}")
    return LAYOUTS[dataset]


def _chosen(names: list[str] | None) -> tuple[str, ...] | None:
    return tuple(names) if names else None


def _protocol(name: str | None, listing: Listing) -> Protocol:
    from vidguard.protocols.protocol import PROTOCOLS

    if name is None:
        name = "deepfakebench" if any(item.path.is_dir() for item in listing.items) else "vidguard"
    if name not in PROTOCOLS:
        raise InputError(f"no protocol {name!r}; choose of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def _subject(
    weights: str | None, device: str | None, workers: int | None, *, sandboxed: bool = False
) -> tuple[MakeSubject, int]:
    from vidguard.detector import choose_device
    from vidguard.protocols.subject import VidguardSubject

    # a second process keeps the GPU busy while the first one decodes
    number = workers or (2 if choose_device(device).type == "cuda" else os.cpu_count() or 1)
    return functools.partial(VidguardSubject, weights, device, sandboxed=sandboxed), number


def _conduct(
    listing: Listing, make_subject: MakeSubject, protocol: Protocol, out_dir: Path, workers: int, *, quiet: bool
) -> None:
    """Measure, show, and end the command with its exit code."""
    from vidguard.protocols.conduct import conduct

    _tell(listing)
    with count_bar(f"{listing.dataset} {listing.split}", quiet=quiet) as advance:
        measured = conduct(
            listing,
            make_subject,
            protocol,
            out_dir,
            workers=workers,
            on_score=lambda _, done, total: advance(done, total),
        )
    for note in measured.result.coverage.notes[len(listing.notes) :]:
        complain(f"note: {note}")
    if not quiet:
        _show(measured.result, out_dir)
    failed = [one for one in measured.scored if one.score.status in _UNREADABLE]
    for one in failed:
        complain(f"{one.item.id}: {one.score.detail or 'not one frame could be decoded'}")
    raise typer.Exit(FAILED if failed else 0)


def _tell(listing: Listing) -> None:
    """Say what is missing and assumed, before the work begins."""
    _require_charts()
    for note in listing.notes:
        complain(f"note: {note}")
    if listing.missing:
        total = len(listing.missing) + len(listing.items)
        complain(f"{len(listing.missing)} of {total} items are missing, the first is {listing.missing[0]}")


def _require_charts() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("pages need matplotlib: pip install 'vidguard[benchmark]'")


def _show(result: Result, out_dir: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from vidguard.text import printable

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("", "real", "fake", "none", "AUC", "95 %", "EER", "acc.", "loss", "ECE"):
        table.add_column(name, justify="left" if name == "" else "right", no_wrap=True)
    for key, f in result.figures.items():
        counts = (str(f.real), str(f.fake), str(f.no_decision))
        others = ("" if v is None else f"{v:.3f}" for v in (f.eer, f.accuracy, f.log_loss, f.ece))
        table.add_row(Text(printable(key)), *counts, *_area(f.auc), *others)
    title = f"{result.dataset}, split {result.split}, protocol {result.protocol['name']}, {result.detector.name}"
    out().print(printable(title), markup=False, soft_wrap=True)
    out().print(table, "none: no decision; acc.: accuracy; loss: log loss", sep="\n")
    found = result.segment_figures
    if found is not None and found.auc is not None:
        overlap = "" if found.temporal_iou is None else f", mean temporal IoU {found.temporal_iou:.2f}"
        out().print(f"forged stretches: segment AUC {found.auc.value:.3f}{overlap}", soft_wrap=True)
    out().print(f"wrote {out_dir / 'result.html'}", markup=False, soft_wrap=True)


def _show_comparison(a: Result, b: Result, comparison: Comparison) -> None:
    from vidguard.text import printable

    difference = comparison.difference
    interval = "" if difference.low is None else f" (95 %: {difference.low:+.3f} to {difference.high:+.3f})"
    p = "undefined" if comparison.p_value is None else f"{comparison.p_value:.3g}"
    out().print(
        f"A {printable(a.detector.name)}: AUC {comparison.auc_a:.3f}",
        f"B {printable(b.detector.name)}: AUC {comparison.auc_b:.3f}",
        f"A - B {difference.value:+.3f}{interval}, DeLong p = {p}, "
        f"on {comparison.real} genuine and {comparison.fake} fake items that both decided",
        sep="\n",
        markup=False,
        soft_wrap=True,
    )


def _show_robustness(table: Robustness) -> None:
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("corruption", "level", "AUC", "95 %", "undecided"):
        shown.add_column(name, no_wrap=True)
    for row in table.rows:
        shown.add_row(row.corruption, row.level, *_area(row.figures.auc), str(row.figures.no_decision))
    out().print(shown)


def _area(auc: Estimate | None) -> tuple[str, str]:
    """The cells of an AUC and its interval; empty where there is none."""
    if auc is None:
        return "", ""
    return f"{auc.value:.3f}", "" if auc.low is None else f"{auc.low:.3f}-{auc.high:.3f}"
