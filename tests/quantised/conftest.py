"""Fixtures: the trainings' own.  Without bitsandbytes nothing here can run (`make test` gives it to these alone)."""

import pytest

from tests.training.conftest import dataset as dataset
from tests.training.conftest import store as store
from tests.training.conftest import train as train

pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: make install-quantised")
