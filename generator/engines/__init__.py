"""Who paints the chunks of a run: processes of this machine, or Ray on many.

The chunks, and what each of them holds, come from the plan; a worker loads its models once, paints whole chunks and
writes their files itself. So the same plan gives the same files on one worker, on several, and on Ray.
"""

from __future__ import annotations

from generator.config import Config
from generator.engines.chunk import ChunkListener
from generator.engines.engine import Engine
from generator.foundation.errors import ModelError

__all__ = ["ChunkListener", "Engine", "make_engine"]


def make_engine(config: Config, chunks: int) -> Engine:
    """Make the engine that the config names, with no more workers than there are chunks to paint.

    Raises ModelError when the library of the engine is not installed.
    """
    if config.engine == "ray":
        try:
            from generator.engines.ray import RayEngine
        except ImportError:
            raise ModelError("engine: ray needs Ray, which is not installed: pip install 'boxpaint[ray]'") from None
        return RayEngine(config, chunks)
    from generator.engines.local import LocalEngine

    return LocalEngine(config, chunks)
