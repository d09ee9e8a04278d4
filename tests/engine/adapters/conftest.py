import pytest

from app.engine.adapters.apply import Adapters
from tests import tiny


@pytest.fixture(scope="module")
def made():
    return tiny.parts(0)


@pytest.fixture
def adapters(made):
    return Adapters({"unet": made.unet, "text_encoder": made.text_encoder}, "sd1", "tiny")
