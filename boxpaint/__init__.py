"""The front door: the public names of `generator`, and the command line over it and `detection`.

    from boxpaint import Config, generate, load_spec

    config = Config.load("configs/pocket.yaml")
    spec = load_spec("background.csv", "classes.csv", canvas_wh=config.canvas_wh)
    dataset = generate(spec, config, out="dataset")

Importing it loads neither torch nor pandas: a name is fetched when it is first used (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import generator

if TYPE_CHECKING:
    from generator import *  # noqa: F403
    from generator import __version__ as __version__
else:
    __all__ = generator.__all__

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'boxpaint' has no attribute {name!r}")
        return getattr(generator, name)

    def __dir__() -> list[str]:
        return sorted(__all__)
