"""What minutes of training bring a painter: held-out figures, what its verifier says of samples, and near-copies.

    python -m benchmarks.painter --real DATA[:SPLIT] [--validation DATA[:SPLIT]] [--subset FILE] [--minutes 15 45 180]
        [--config FILE] [--from pocket] [--out runs/painter_minutes]

The same photos, start and seed in every row, each trained anew under its own clock limit, with as many times the steps
of the settings. Columns: minutes of training; PSNR of the VAE on held-out crops, before and after; loss of the UNet
inside the mask, likewise; real held-out crops that the verifier gets right; samples that it takes for their class, the
worst class; and near-copies of real objects among samples, next to those among real objects themselves. Folders stay,
with samples.png.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import Results, make_parser
from boxpaint.cli.painter import chosen_photos
from boxpaint.cli.progress import PainterProgress
from detection.datasets.sources import match_sources, read_source
from detection.painter.run import PainterResult, train_painter
from detection.painter.settings import PainterSettings
from detection.runs.config import read_config
from generator.foundation.device import choose_device

COLUMNS = (
    *("limit", "trained", "PSNR before, dB", "PSNR after, dB", "loss before", "loss after"),
    *("verifier right", "samples agreed on", "near-copies", "among real"),
)
# Steps for so many minutes: more than two cores have time for, so that the clock ends each part; and no more, since how
# many different samples a UNet meets goes by them.
STEPS_FOR = 15.0


def main() -> None:
    """Train and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--real", required=True, help="photos with boxes in COCO form, DATA or DATA:SPLIT")
    parser.add_argument("--validation", help="photos for the held-out figures (default: one in five)")
    parser.add_argument("--subset", type=Path, help="text file with the names of the photos to take")
    parser.add_argument("--minutes", type=float, nargs="+", default=[15, 45, 180])
    parser.add_argument("--config", type=Path, help="YAML of settings, such as turns and flips")
    parser.add_argument("--from", dest="start", default="pocket")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/painter_minutes"))
    arguments = parser.parse_args()
    sources = [read_source(arguments.real, "real")]
    if arguments.validation is not None:
        sources.append(read_source(arguments.validation, "validation"))
    matched = match_sources(sources, None, {})
    photos = chosen_photos(matched[0].data, None, arguments.subset, arguments.seed)
    counts = ", ".join(f"{count} {name}" for name, count in photos.counts().items())
    with Results(f"{sources[0].name}: {len(photos)} photos, {counts}", *COLUMNS) as table:
        for minutes in arguments.minutes:
            own = read_config(PainterSettings, arguments.config, {"minutes": minutes}, PainterSettings())
            names, times = ("steps", "vae_steps", "clip_steps"), max(1.0, minutes / STEPS_FOR)
            settings = own.model_copy(update={name: round(times * getattr(own, name)) for name in names})
            with PainterProgress() as progress:
                result = train_painter(
                    photos,
                    arguments.out / f"{minutes:g}",
                    settings,
                    start=arguments.start,
                    validation=matched[1].data if arguments.validation is not None else None,
                    device=choose_device(arguments.device),
                    seed=arguments.seed,
                    listener=progress,
                )
            table.add(f"{minutes:g} min", *_figures(result))


def _figures(result: PainterResult) -> list[str]:
    def of(*words: str) -> list[float]:
        return [value for name, value in result.numbers.items() if all(word in name for word in words)]

    def shown(form: str, values: list[float]) -> str:
        return form.format(min(values)) if values else ""

    return [
        f"{result.seconds / 60:.1f} min",
        *(shown("{:.1f}", of("PSNR of crops", when)) for when in ("before", "after")),
        *(shown("{:.3f}", of("loss of the UNet", when)) for when in ("before", "after")),
        shown("{:.0%}", of("verifier gets right", "after")),
        shown("{:.0%}", of("samples that the verifier takes")),
        shown("{:.0%}", of("near-copies among samples")),
        shown("{:.0%}", of("near-copies among real")),
    ]


if __name__ == "__main__":
    main()
