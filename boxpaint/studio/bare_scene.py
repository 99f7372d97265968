"""Paint a scene of a run as it was before anything was painted in it.

    python -m boxpaint.studio.bare_scene RUN INDEX OUT

A process of its own, since the models take a gigabyte that the server of the pages need not hold. The background comes
out as it did in the run, from its seed; the last pass over the whole picture, with its grain, is not done.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from generator.config import Config
from generator.painting.jobs import BackgroundJob
from generator.painting.painter import Painter
from generator.record import read_record
from generator.run_identity import read_json
from generator.seeds import derive_seed
from generator.storage import atomic_writer, make_folder


def paint_bare_scene(run: Path, index: int) -> Image.Image:
    """Paint the background of a finished scene of a run folder once more, by the models that the working folder names.

    Raises BoxpaintError.
    """
    settings = read_json(run / "run.json")["config"]
    own = Path("config.yaml")
    if own.is_file():  # a run does not keep the folders of its models
        del settings["models"]
    config = Config.load(own if own.is_file() else None, **settings)
    record = read_record(run / "records" / f"{index:06d}.json")
    job = BackgroundJob(
        prompt=record.background.prompt,
        negative_prompt=record.background.negative_prompt,
        seed=derive_seed(record.background.seed, record.background.taken),
        size_wh=config.canvas_wh,
    )
    (painted,) = Painter(config).paint_backgrounds([job])
    return Image.fromarray(painted.pixels)


def main() -> None:
    """Paint and write a PNG file."""
    run, index, out = sys.argv[1:]
    picture = paint_bare_scene(Path(run), int(index))
    make_folder(Path(out).parent)
    with atomic_writer(Path(out)) as stream:
        picture.save(stream, "PNG")


if __name__ == "__main__":
    main()
