"""One worker, several and Ray give the same files, and go on when a worker is killed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from generator.config import Config
from generator.dataset.validation import validate_dataset
from generator.engines import make_engine
from generator.engines.local import LocalEngine
from generator.foundation.errors import BoxpaintError, ConfigError
from generator.run import Listener, generate
from generator.spec import Spec, load_spec
from tests.conftest import write_csv_files

pytestmark = pytest.mark.slow

Files = Callable[[Path], dict[str, bytes]]
SCENES = 6


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    folder = write_csv_files(tmp_path_factory.mktemp("csv"))
    return load_spec(folder / "background.csv", folder / "classes.csv", canvas_wh=(96, 64))


@pytest.fixture(scope="module")
def keys(tiny_config: dict[str, object]) -> dict[str, object]:
    return {**tiny_config, "audit": {"scenes": 0}, "threads": 1}


@pytest.fixture(scope="module")
def by_one_worker(spec: Spec, keys: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one") / "out"
    generate(spec, Config.load(**{**keys, "workers": 1}), folder, limit=SCENES)
    return folder


class Killer(Listener):
    """Kills a worker when the first scene is there."""

    def __init__(self, title: str):
        self.title = title
        self.killed = 0
        self.warnings: list[str] = []

    def on_scene(self, count: int) -> None:
        for process in psutil.Process().children(recursive=True):
            if not self.killed and self.title in " ".join(process.cmdline()):
                process.send_signal(signal.SIGKILL)
                self.killed = process.pid

    def on_warning(self, text: str) -> None:
        self.warnings.append(text)


class Nobody(Listener):
    killed = 1


@pytest.mark.parametrize(
    ("engine", "listener"),
    [("local", Nobody()), ("local", Killer("spawn_main")), ("ray", Killer("ray::_Worker.paint"))],
    ids=["two processes", "one of two killed", "Ray, one of two killed"],
)
def test_who_paints_is_not_seen_in_the_files(
    engine: str,
    listener: Listener,
    spec: Spec,
    keys: dict[str, object],
    by_one_worker: Path,
    tmp_path: Path,
    run_folder_files: Files,
) -> None:
    several = Config.load(**{**keys, "engine": engine, "workers": 2})
    dataset = generate(spec, several, tmp_path / "two", limit=SCENES, listener=listener)
    assert listener.killed
    assert dataset.complete
    assert run_folder_files(tmp_path / "two") == run_folder_files(by_one_worker)
    assert validate_dataset(tmp_path / "two").faults == ()
    if engine == "local" and isinstance(listener, Killer):
        assert "killed by SIGKILL" in listener.warnings[0]


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_stop_ends_the_chunks_in_hand(engine: str, spec: Spec, keys: dict[str, object], tmp_path: Path) -> None:
    config = Config.load(**{**keys, "engine": engine, "workers": 2, "chunk": 1})
    dataset = generate(spec, config, tmp_path / "out", limit=SCENES, should_stop=lambda: True)
    assert not dataset.complete
    assert 1 <= dataset.num_scenes <= 2
    assert validate_dataset(tmp_path / "out").faults == ()


def test_workers_that_a_cluster_has_no_room_for_hold_nothing_up(
    spec: Spec, keys: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    # A smaller one than other tests have; what is there is what the engine takes.
    ray.shutdown()
    monkeypatch.setenv("RAY_worker_niceness", "0")
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        config = Config.load(**{**keys, "engine": "ray", "workers": 2, "chunk": 1})
        assert generate(spec, config, tmp_path / "out", limit=2).complete
    finally:
        ray.shutdown()


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_what_goes_wrong_in_a_worker_is_one_message(
    engine: str, spec: Spec, keys: dict[str, object], tmp_path: Path
) -> None:
    generate(spec, Config.load(**{**keys, "workers": 1}), tmp_path / "out", limit=1)
    (tmp_path / "out" / "images" / "000001.png").mkdir()
    config = Config.load(**{**keys, "engine": engine, "workers": 2, "chunk": 1})
    with pytest.raises(BoxpaintError, match=r"scene 1: .*000001\.png: a folder of this name is in the way"):
        generate(spec, config, tmp_path / "out", limit=3)


def test_there_are_no_more_workers_than_chunks(keys: dict[str, object]) -> None:
    assert LocalEngine(Config.load(**{**keys, "workers": 8}), 3).workers == 3


def test_each_worker_has_a_gpu(keys: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    from generator.engines import local

    monkeypatch.setattr(local, "visible_gpus", lambda _: ["3", "7"])
    engine = LocalEngine(Config.load(**{**keys, "workers": 3}), 8)
    assert [each["CUDA_VISIBLE_DEVICES"] for each in engine.environments()] == ["3", "7", "3"]


def test_an_engine_that_nobody_knows_is_a_fault_of_the_config() -> None:
    with pytest.raises(ConfigError, match="engine"):
        Config.load(engine="dask")


def test_ray_that_is_not_installed_is_one_message(keys: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    monkeypatch.delitem(__import__("sys").modules, "generator.engines.ray", raising=False)
    with pytest.raises(BoxpaintError, match=r"pip install 'boxpaint\[ray\]'"):
        make_engine(Config.load(**{**keys, "engine": "ray"}), 2)


@pytest.mark.parametrize("address", [None, "10.0.0.1:6379"])
def test_the_cluster_of_ray_address_is_taken_as_it_is(
    address: str | None, keys: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    asked: list[dict[str, object]] = []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address is not None:
        monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **given: asked.append(given))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    make_engine(Config.load(**{**keys, "engine": "ray"}), 2)
    (given,) = asked
    # Ray refuses both of a cluster that is there.
    assert ("address" in given, "object_store_memory" in given) == (address is None, address is None)
