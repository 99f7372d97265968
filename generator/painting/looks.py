"""What the verifier is shown: attempts as the last pass over the whole picture would leave them.

That pass is two steps over a whole picture, so one in which nothing changes after a look is not finished twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator.config import Config
from generator.painting.easel import Easel, Turn
from generator.painting.finish import finish_pictures
from generator.painting.painter import Painter
from generator.painting.stitch import Stitched


def as_finished(
    tries: Sequence[tuple[Turn, int]], stitched: Sequence[Stitched], painter: Painter, config: Config
) -> list[np.ndarray]:
    """Crops (HWC uint8) as the last pass would leave them: what is pale fades in it, and that must be seen.

    First tries of a round stand together in one picture of their scene, second ones in another. The first picture is
    left on the easel: when nothing is changed in it any more, it is finished.
    """
    pictures: dict[tuple[int, int], tuple[Easel, np.ndarray]] = {}
    keys = []
    for (turn, number), each in zip(tries, stitched, strict=True):
        easel = turn.easel
        keys.append((easel.plan.index, number - turn.numbers(config.labels).start))
        _, picture = pictures.setdefault(keys[-1], (easel, easel.image.copy()))
        if not each.evidence.fault:
            turn.put_into(picture, each.pixels)
    scenes = [easel.plan for easel, _ in pictures.values()]
    finished = dict(
        zip(pictures, finish_pictures([each for _, each in pictures.values()], scenes, painter, config), strict=True)
    )
    for (scene, rank), (easel, picture) in pictures.items():
        if rank == 0:
            easel.look = picture, finished[scene, rank]
    return [finished[key][turn.frame.crop.slices] for key, (turn, _) in zip(keys, tries, strict=True)]


def finish_easels(easels: Sequence[Easel], painter: Painter, config: Config) -> list[np.ndarray]:
    """Finish every picture (HWC uint8 each) but those that are still as they were looked at last."""
    seen = {
        easel.plan.index: easel.look[1]
        for easel in easels
        if easel.look is not None and np.array_equal(easel.look[0], easel.image)
    }
    waiting = [easel for easel in easels if easel.plan.index not in seen]
    pictures = finish_pictures([easel.image for easel in waiting], [easel.plan for easel in waiting], painter, config)
    seen.update((easel.plan.index, picture) for easel, picture in zip(waiting, pictures, strict=True))
    return [seen[easel.plan.index] for easel in easels]
