"""Can a probe find where was painted? Ways of putting the same painted crops into the same pictures, compared.

    python -m benchmarks.leak [--scenes 312] [--network] [--only default ...]
    python -m benchmarks.leak --photos coco:PATH#train --classes benchmarks/bccd_classes.csv --decoys 1 --scenes 32

Scenes of the root scenario, or its objects painted into photos (a cell as in background.csv; --classes has the names of
their labels). Backgrounds and crops are painted once and kept in --cache; objects and decoys are painted
on the bare background, and those whose regions meet are left out, so that every way is given the same crops. Columns as
in `boxpaint audit`: a probe tells decoys from untouched places; objects, their own pixels hidden, from untouched
places; and objects from places of which every other is a decoy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import track

from benchmarks import ROOT, Results, auc_text, make_parser, root_spec
from generator.audit.leak import KINDS, LeakReport, PaintedPlaces, draw_suspicious, hidden_pixels
from generator.audit.places import Place
from generator.config import Config
from generator.foundation.geometry import intersection_area
from generator.foundation.seeds import derive_rng, derive_seed
from generator.foundation.storage import atomic_writer, make_folder
from generator.painting.backgrounds import make_backgrounds
from generator.painting.crop import CropFrame, native_mask, repainted_region, to_canvas, to_native
from generator.painting.diffusion import decode, encode
from generator.painting.finish import add_sensor_noise, finish_pictures, lay_over
from generator.painting.painter import InpaintJob, Painting
from generator.painting.scene_state import frame_for
from generator.painting.stable_diffusion import StableDiffusionPainter
from generator.painting.stitch import stitch
from generator.plan import Placement, Plan, ScenePlan
from generator.spec.photos import find_photos

BATCH_SCENES = 8
JPEG_QUALITY = 85

Finish = Callable[[Sequence[np.ndarray], Sequence["Material"]], list[np.ndarray]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patch:
    """One crop as it was painted, at the model's size (HWC uint8); `mask` (HW bool, of the canvas) is the object."""

    placement: Placement
    frame: CropFrame
    pixels: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """A bare background (HWC uint8) and the crops painted on it, whose regions do not meet."""

    plan: ScenePlan
    background: np.ndarray
    patches: tuple[Patch, ...]


def materials(plan: Plan, painter: StableDiffusionPainter, cache: Path) -> list[Material]:
    """Paint what is not in the cache yet, and read all of it."""
    make_folder(cache)
    missing = [index for index in range(len(plan)) if not _path(cache, index).exists()]
    for start in track(range(0, len(missing), BATCH_SCENES), "painting", disable=not missing):
        _paint([plan.scene(index) for index in missing[start : start + BATCH_SCENES]], painter, cache)
    return [_read(plan.scene(index), painter, cache) for index in range(len(plan))]


def _path(cache: Path, index: int) -> Path:
    return cache / f"{index:06d}.npz"


def _frames(scene: ScenePlan, painter: StableDiffusionPainter) -> Iterator[tuple[Placement, CropFrame]]:
    taken: list[CropFrame] = []
    for placement in (*scene.placements, *scene.decoys):
        frame = frame_for(placement.box, painter)
        region = frame.region_on_canvas()
        if not any(intersection_area(region, other.region_on_canvas()) for other in taken):
            taken.append(frame)
            yield placement, frame


def object_job(placement: Placement, frame: CropFrame, background: np.ndarray, *, seed: int) -> InpaintJob:
    """What a painter needs to paint an object on a bare background (HWC uint8)."""
    return InpaintJob(
        prompt=placement.prompt,
        negative_prompt=placement.negative_prompt,
        seed=seed,
        size_wh=frame.native_wh,
        image=to_native(background[frame.crop.slices], frame),
        mask=native_mask(frame, np.zeros((frame.crop.height, frame.crop.width), bool)),
    )


def _paint(scenes: Sequence[ScenePlan], painter: StableDiffusionPainter, cache: Path) -> None:
    backgrounds = make_backgrounds(scenes, painter, None, lambda _: None)
    owners: list[tuple[int, int]] = []
    jobs: list[InpaintJob] = []
    for number, (scene, background) in enumerate(zip(scenes, backgrounds, strict=True)):
        for placement, frame in _frames(scene, painter):
            owners.append((number, placement.object_index))
            jobs.append(object_job(placement, frame, background.pixels, seed=derive_seed(placement.seed, 0, 0)))
    painted = dict(zip(owners, painter.inpaint(jobs), strict=True))
    for number, (scene, background) in enumerate(zip(scenes, backgrounds, strict=True)):
        crops = {f"p{index}": each.pixels for (owner, index), each in painted.items() if owner == number}
        with atomic_writer(_path(cache, scene.index)) as stream:
            np.savez(stream, background=background.pixels, **crops)


def _read(scene: ScenePlan, painter: StableDiffusionPainter, cache: Path) -> Material:
    with np.load(_path(cache, scene.index)) as stored:
        background = stored["background"]
        patches = []
        for placement, frame in _frames(scene, painter):
            pixels, crop = stored[f"p{placement.object_index}"], frame.crop
            before = background[crop.slices]
            evidence = stitch(
                before,
                Painting(pixels=pixels, fault=""),
                frame,
                placement,
                protected=np.zeros(before.shape[:2], bool),
                rng=derive_rng(placement.seed, 0, 1),
                settings=painter.config.painting,
            ).evidence
            mask = np.zeros(background.shape[:2], bool)
            mask[crop.slices] = evidence.label_mask
            patches.append(Patch(placement=placement, frame=frame, pixels=pixels, mask=mask))
    return Material(plan=scene, background=background, patches=tuple(patches))


def raw_paste(patch: Patch, before: np.ndarray) -> np.ndarray:
    """The repainted rectangle as it is, colours and all."""
    region = repainted_region(patch.frame)
    pasted = before.copy()
    pasted[region] = to_canvas(patch.pixels, patch.frame)[region]
    return pasted


def blended(config: Config, blender: str | None = None, **changes: object) -> Callable[[Patch, np.ndarray], np.ndarray]:
    """Blend as the product does, by one blender or (None) by that of the plan, with other settings."""
    settings = config.painting.model_copy(update=changes)

    def put(patch: Patch, before: np.ndarray) -> np.ndarray:
        return stitch(
            before,
            Painting(pixels=patch.pixels, fault=""),
            patch.frame,
            replace(patch.placement, blender=blender or patch.placement.blender),
            protected=np.zeros(before.shape[:2], bool),
            rng=derive_rng(patch.placement.seed, 0, 1),
            settings=settings,
        ).pixels

    return put


def _pictures(
    all_materials: Sequence[Material], put: Callable[[Patch, np.ndarray], np.ndarray], finish: Finish
) -> Iterator[tuple[Material, np.ndarray]]:
    for start in range(0, len(all_materials), BATCH_SCENES):
        batch, pictures = all_materials[start : start + BATCH_SCENES], []
        for material in batch:
            pictures.append(material.background.copy())
            for patch in material.patches:
                crop = patch.frame.crop.slices
                pictures[-1][crop] = put(patch, pictures[-1][crop])
        yield from zip(batch, finish(pictures, batch), strict=True)


def audit(
    all_materials: Sequence[Material], put: Callable[[Patch, np.ndarray], np.ndarray], finish: Finish, *, network: bool
) -> LeakReport:
    """Put the crops in, finish the pictures and let the probes look."""
    painted = PaintedPlaces()
    for number, (material, picture) in enumerate(_pictures(all_materials, put, finish)):
        decoys, objects = [], []
        for patch in material.patches:
            box = patch.frame.region_on_canvas()
            if patch.placement.is_decoy:
                hidden = None
            elif patch.mask.any():
                hidden = hidden_pixels(patch.mask)[box.slices]
            else:  # nothing came of it: no object, and no decoy either
                continue
            (decoys if patch.placement.is_decoy else objects).append(
                Place(
                    picture=picture,
                    box=box,
                    group=number,
                    is_painted=True,
                    hidden=hidden,
                    category=patch.placement.category,
                )
            )
        real = material.plan.photo.kept if material.plan.photo is not None else ()
        painted.add_picture(decoys, objects, derive_rng(0, material.plan.index), real=real)
    return painted.probe(seed=0, with_network=network)


def jpeg(picture: np.ndarray) -> np.ndarray:
    """Once through JPEG."""
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def ways(
    config: Config, painter: StableDiffusionPainter, *, spec_has_photos: bool
) -> dict[str, tuple[Callable[[Patch, np.ndarray], np.ndarray], Finish]]:
    """Every row of the table: how crops are put in, and what is done to the whole picture afterwards."""
    redrawn: dict[int, np.ndarray] = {}

    def nothing(pictures: Sequence[np.ndarray], _batch: Sequence[Material]) -> list[np.ndarray]:
        return list(pictures)

    def one_by_one(change: Callable[[np.ndarray], np.ndarray]) -> Finish:
        return lambda pictures, _batch: [change(picture) for picture in pictures]

    def coded(picture: np.ndarray) -> np.ndarray:
        model = painter.inpaint_model
        pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
        back = decode(model, encode(model, pixels))[0].permute(1, 2, 0).numpy()
        return np.clip(np.rint((back + 1) * 127.5), 0, 255).astype(np.uint8)

    def finished(**changes: object) -> Finish:
        changed = copy.copy(painter)
        changed.config = config.model_copy(update={"painting": config.painting.model_copy(update=changes)})

        def finish(pictures: Sequence[np.ndarray], batch: Sequence[Material]) -> list[np.ndarray]:
            photos = [each.background if each.plan.photo is not None else None for each in batch]
            return finish_pictures(pictures, [each.plan for each in batch], changed, photos=photos)

        return finish

    def redrawn_once(pictures: Sequence[np.ndarray], batch: Sequence[Material]) -> list[np.ndarray]:
        if batch[0].plan.index not in redrawn:
            new = finished(sensor_noise=0.0, harmonize_area="all")(pictures, batch)
            redrawn.update((each.plan.index, picture) for each, picture in zip(batch, new, strict=True))
        return [redrawn[each.plan.index] for each in batch]

    def noisy(pictures: Sequence[np.ndarray], batch: Sequence[Material]) -> list[np.ndarray]:
        return [add_sensor_noise(picture, noise, each.plan.seed) for picture, each in zip(pictures, batch, strict=True)]

    def around(lay: Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]) -> Finish:
        def finish(pictures: Sequence[np.ndarray], batch: Sequence[Material]) -> list[np.ndarray]:
            new = redrawn_once(pictures, batch)
            each = zip(batch, pictures, new, strict=True)
            return [lay(material.background, picture, drawn, material.plan.seed) for material, picture, drawn in each]

        return finish

    def bare(photo: np.ndarray, picture: np.ndarray, drawn: np.ndarray, _seed: int) -> np.ndarray:
        painted = (picture != photo).any(axis=2, keepdims=True)
        return np.where(painted, drawn, photo)

    noise = config.painting.sensor_noise
    mixed = blended(config)
    in_photos: dict[str, tuple[Callable[[Patch, np.ndarray], np.ndarray], Finish]] = {
        "raw paste": (raw_paste, nothing),
        "mixed": (mixed, nothing),
        "all: redrawn, noise": (mixed, lambda pictures, batch: noisy(redrawn_once(pictures, batch), batch)),
        "painted: redrawn there": (mixed, around(bare)),
        "painted: redrawn there, faded, grain": (mixed, around(lay_over)),
    }
    if spec_has_photos:
        return in_photos
    return {
        "raw paste": (raw_paste, nothing),
        "feather": (blended(config, "feather"), nothing),
        "pyramid": (blended(config, "pyramid"), nothing),
        "Poisson": (blended(config, "poisson"), nothing),
        "mixed": (mixed, nothing),
        "mixed, colours not matched": (blended(config, match_colour=False), nothing),
        "mixed, JPEG": (mixed, one_by_one(jpeg)),
        "mixed, noise": (mixed, noisy),
        "mixed, VAE": (mixed, one_by_one(coded)),
        "mixed, redrawn": (mixed, redrawn_once),
        "default: mixed, redrawn, noise": (
            mixed,
            lambda pictures, batch: noisy(redrawn_once(pictures, batch), batch),
        ),
        "raw paste, redrawn, noise": (raw_paste, finished()),
    }


def main() -> None:
    """Paint, probe and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--scenes", type=int, default=312)
    parser.add_argument("--photos", default="", metavar="CELL")
    parser.add_argument("--classes", type=Path, default=ROOT / "classes.csv")
    parser.add_argument("--decoys", type=float, help="for each object; photos leave less room for untouched places")
    parser.add_argument("--cache", type=Path, default=Path("runs/leak"))
    parser.add_argument("--network", action="store_true", help="train the small network, too: minutes for each row")
    parser.add_argument("--only", nargs="+", default=[""], help="rows that begin with one of these words")
    arguments = parser.parse_args()
    config = Config() if arguments.decoys is None else Config(placement={"decoys": arguments.decoys})
    painter = StableDiffusionPainter(config)
    spec = root_spec(config.canvas_wh, arguments.scenes, classes=arguments.classes)
    cache = arguments.cache / str(arguments.scenes)
    if arguments.photos:
        spec, cache = spec.in_photos(find_photos(arguments.photos, Path()), arguments.scenes), cache / "photos"
    plan = Plan(spec=spec, config=config)
    everything = materials(plan, painter, cache)
    title = f"{len(everything)} scenes: AUC of the better probe, with its 95 % interval"
    with Results(title, "way", *KINDS) as table:
        for name, (put, finish) in ways(config, painter, spec_has_photos=bool(arguments.photos)).items():
            if not name.startswith(tuple(arguments.only)):
                continue
            report = audit(everything, put, finish, network=arguments.network)
            findings = [report.audit.found[kind] for kind in KINDS]
            table.add(name, *(auc_text(found.leak) if found and found.leak else "too few" for found in findings))
            picture = draw_suspicious(report.suspicious)
            if picture is not None:
                picture.save(arguments.cache / f"{name.replace(' ', '_').replace(':', '').replace(',', '')}.png")


if __name__ == "__main__":
    main()
