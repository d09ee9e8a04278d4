"""The generator against published words and against numbers seen on a CUDA card through A1111."""

import json
from pathlib import Path

import numpy as np
import pytest

from app.engine.philox import normal, philox4x32

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "a1111.json").read_text())


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # known answers of the authors' Random123 library (kat_vectors, philox4x32 10)
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ],
)
def test_known_answers(counter, key, words):
    found = philox4x32([np.array([c], dtype=np.uint64) for c in counter], key[1] << 32 | key[0])
    assert tuple(int(word[0]) for word in found) == words


@pytest.mark.parametrize("seed", list(GOLDEN["philox_randn"]))
def test_normals_of_a_cuda_card(seed):
    wanted = GOLDEN["philox_randn"][seed]
    np.testing.assert_allclose(normal(int(seed), 0, len(wanted)), wanted, atol=6e-8, rtol=1e-6)


def test_the_second_call_has_its_own_offset():
    first, second = GOLDEN["philox_second_call_seed42_n4_after_n4"]
    np.testing.assert_allclose(normal(42, 0, 4), first, atol=6e-8, rtol=1e-6)
    np.testing.assert_allclose(normal(42, 1, 4), second, atol=6e-8, rtol=1e-6)


def test_normals_are_normal():
    values = normal(7, 3, 200_000)
    assert values.dtype == np.float32 and np.isfinite(values).all()
    assert abs(values.mean()) < 0.01 and abs(values.std() - 1) < 0.01 and abs((values**3).mean()) < 0.03
