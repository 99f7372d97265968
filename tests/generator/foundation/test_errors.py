"""What a worker raises reaches its parent whole."""

import pickle

import pytest

from generator.foundation.errors import DatasetError, Fault, FaultsError, SpecError


@pytest.mark.parametrize("kind", [FaultsError, SpecError, DatasetError])
def test_faults_survive_the_way_between_processes(kind: type[FaultsError]) -> None:
    error = kind([Fault(file="b.csv", line=3, expected="a number"), Fault(file="a.png", expected="is damaged")])
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), copied.faults, str(copied)) == (kind, error.faults, str(error))
