"""Paint a scene of a run as it was before anything was painted in it.

    python -m boxpaint.studio.bare_scene RUN INDEX OUT

A process of its own, since the models take a gigabyte that the server of the pages need not hold. The background comes
out as it did in the run, from its seed; the last pass over the whole picture, with its noise, is not done. Of a scene
that is a photo its part is shown again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from generator.config import Config
from generator.dataset.record import PhotoRecord, read_record
from generator.foundation.errors import USER_ERROR, BoxpaintError, RunMismatchError
from generator.foundation.geometry import Box
from generator.foundation.seeds import derive_seed
from generator.foundation.storage import atomic_writer, make_folder, read_json
from generator.painting.painter import BackgroundJob
from generator.painting.photos import show_photo
from generator.painting.stable_diffusion import StableDiffusionPainter
from generator.plan.photos import PhotoView
from generator.spec import load_spec

CONFIG = Path("config.yaml")
# A run may be somebody else's: what is loaded is what the folder's own config names.
_OWN = ("bundle", "models")


def paint_bare_scene(run: Path, index: int) -> Image.Image:
    """Paint the background of a finished scene of a run folder once more, by the models of the working folder's config.

    Raises BoxpaintError: RunMismatchError when the run was painted by another bundle.
    """
    own = CONFIG if CONFIG.is_file() else None
    settings = read_json(run / "run.json")["config"]
    bundle = Config.load(own).bundle
    if settings["bundle"] != bundle:
        raise RunMismatchError(f"{run} was painted by the bundle {settings['bundle']!r}, the config says {bundle!r}")
    config = Config.load(own, **{key: value for key, value in settings.items() if key not in _OWN})
    record = read_record(run / "records" / f"{index:06d}.json")
    if record.photo is not None:
        return Image.fromarray(show_photo(_view_of(record.photo, config), config.canvas_wh))
    job = BackgroundJob(
        prompt=record.background.prompt,
        negative_prompt=record.background.negative_prompt,
        seed=derive_seed(record.background.seed, record.background.taken),
        size_wh=config.canvas_wh,
    )
    (painted,) = StableDiffusionPainter(config).paint_backgrounds([job])
    return Image.fromarray(painted.pixels)


def _view_of(record: PhotoRecord, config: Config) -> PhotoView:
    """The part of a photo that a scene shows, if the scenario still names the photo. Raises RunMismatchError."""
    spec = load_spec(canvas_wh=config.canvas_wh, find_references=False)
    photos = (photo for row in spec.backgrounds if row.photos for photo in row.photos.photos)
    found = next((photo for photo in photos if photo.sha256 == record.sha256), None)
    if found is None:
        raise RunMismatchError(f"the photo {record.name} is not, or no longer, among those that background.csv names")
    return PhotoView(photo=found, crop=Box.from_xyxy(*record.crop), flip=record.flip)


def main() -> None:
    """Paint and write a PNG file."""
    run, index, out = sys.argv[1:]
    try:
        picture = paint_bare_scene(Path(run), int(index))
        make_folder(Path(out).parent)
        with atomic_writer(Path(out)) as stream:
            picture.save(stream, "PNG")
    except BoxpaintError as error:
        print(error, file=sys.stderr)
        sys.exit(USER_ERROR)


if __name__ == "__main__":
    main()
