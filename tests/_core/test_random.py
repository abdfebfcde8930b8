"""Random streams: known answers, accuracy of the Gaussian, its distribution, independence, and what ``rng`` takes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devnet._core import random as law
from devnet._core.errors import ConfigError
from devnet._core.random import Key, Stream, as_key, gaussian_pair, philox, stream_id

WORD = st.integers(0, 2**32 - 1)
EDGE_WORDS = np.unique(
    np.array(
        [
            w % 2**32
            for k in range(33)
            for center in (2**k, 3 * 2**k)
            for w in (center - 2, center - 1, center, center + 1)
        ]
        + [0xFFFFFFFF - k for k in range(64)]
        + list(range(64)),
        dtype=np.uint32,
    )
)


# ------------------------------------------------------------------------------------------------ Philox


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # the known-answer vectors of Random123
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_known_answers(counter, key, words):
    c = tuple(int(w, 16) for w in counter.split())
    k = tuple(int(w, 16) for w in key.split())
    assert [f"{int(w):08x}" for w in philox(c, k)] == words.split()


@given(st.tuples(WORD, WORD, WORD, WORD), st.tuples(WORD, WORD))
def test_philox_equals_a_scalar_form(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 % 2**32, (p0 >> 32) ^ c[3] ^ k[1], p0 % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    assert [int(w) for w in philox(counter, key)] == c


def test_counters_broadcast():
    one = philox((7, 1, 2, 3), (4, 5))
    many = philox((np.arange(10), 1, np.uint32(2), 3), (4, 5))
    assert [w[7] for w in many] == [w[()] for w in one]
    assert all(w.dtype == np.uint32 and w.shape == (10,) for w in many)


def test_layout_of_cells_in_blocks():
    key = Key(0x1234567890ABCDEF)
    words = key.stream("noise").words(9, 200, draw=4)
    for cell in (0, 15, 16, 63, 64, 130, 199):
        counter = (16 * (cell // 64) + cell % 16, 9, 4, stream_id("noise"))
        assert words[cell] == philox(counter, (0x90ABCDEF, 0x12345678))[(cell % 64) // 16]


# ------------------------------------------------------------------------------------------------ the Gaussian


def exact(w0: np.ndarray, w1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Box-Muller in float64 with the library's logarithm, sine and cosine."""
    u = ((w0 >> np.uint32(1)).astype(np.float64) + 0.5) * 2.0**-31
    r = np.sqrt(-2 * np.log(u))
    quadrant = (w1 >> np.uint32(30)).astype(np.float64)
    x = ((w1 & np.uint32(0x3FFFFFFF)).astype(np.float64) - 2.0**29) * (math.pi / 2 / 2**30)
    return r * np.cos(x + quadrant * math.pi / 2), r * np.sin(x + quadrant * math.pi / 2)


def test_gaussian_is_accurate_on_all_pairs_of_edge_words():
    w0, w1 = (w.ravel() for w in np.meshgrid(EDGE_WORDS, EDGE_WORDS))
    radius = np.sqrt(sum(g**2 for g in exact(w0, w1)))
    for ours, true in zip(gaussian_pair(w0, w1), exact(w0, w1), strict=True):
        assert ours.dtype == np.float32
        assert np.isfinite(ours).all()
        assert np.abs(ours - true).max() < 1.2e-6
        assert (np.abs(ours - true) <= 4e-7 * radius).all()


def test_gaussian_is_accurate_on_random_words():
    words = Key(1).stream("words").words(0, 400_000)
    for ours, true in zip(
        gaussian_pair(words[::2], words[1::2]), exact(words[::2], words[1::2]), strict=True
    ):
        assert np.abs(ours - true).max() < 1.2e-6


def test_gaussian_reaches_its_bounds_and_stays_off_zero_radius():
    zero = np.zeros(1, np.uint32)
    largest = float(np.hypot(*(g.astype(float) for g in gaussian_pair(zero, zero)))[0])
    assert largest == pytest.approx(math.sqrt(2 * 32 * math.log(2)), abs=1e-5)
    smallest = np.hypot(*gaussian_pair(np.array([0xFFFFFFFF], np.uint32), zero))
    assert smallest[0] == pytest.approx(2.0**-15.5 / math.sqrt(2) * math.sqrt(2), rel=1e-3)


def test_angles_cover_the_circle():
    turn = (np.arange(16, dtype=np.uint64) << np.uint64(28)).astype(np.uint32)
    a, b = gaussian_pair(np.full(16, 12345, np.uint32), turn)
    np.testing.assert_allclose(np.diff(np.unwrap(np.arctan2(b, a))), 2 * math.pi / 16, atol=1e-6)


def test_polynomials_are_the_stated_fits():
    nodes = np.cos((np.arange(2000) + 0.5) * math.pi / 2000)

    def worst(coefficients, law_of_x, low, high):
        x = low + (high - low) * (nodes + 1) / 2
        x = x[np.abs(x) > 1e-3]
        fit = np.polynomial.polynomial.polyval(x, np.array(coefficients, np.float64))
        return np.abs(fit - law_of_x(x)).max()

    def log_rest(f):
        return (np.log1p(f) - f + f * f / 2) / f**3

    assert worst(law.LOG_POLY, log_rest, math.sqrt(0.5) - 1, math.sqrt(2) - 1) < 2e-6
    quarter = math.pi / 4
    assert worst(law.SIN_POLY, lambda y: (np.sin(np.sqrt(y)) / np.sqrt(y) - 1) / y, 1e-3, quarter**2) < 1e-7
    assert worst(law.COS_POLY, lambda y: (np.cos(np.sqrt(y)) - 1 + y / 2) / y**2, 1e-3, quarter**2) < 1e-7


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    return np.concatenate([Key(7).stream("sample").normal(step, 500_000) for step in range(8)]).astype(float)


@pytest.mark.parametrize(
    ("power", "moment", "variance"),
    [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (5, 0, 945), (6, 15, 10170)],
)
def test_moments(sample, power, moment, variance):
    assert abs((sample**power).mean() - moment) < 4.5 * math.sqrt(variance / len(sample))


@pytest.mark.parametrize("sigma", [0.5, 1, 2, 3, 4, 4.5, 5])
@pytest.mark.parametrize("side", [-1, 1])
def test_tails(sample, sigma, side):
    expected = len(sample) * math.erfc(sigma / math.sqrt(2)) / 2
    assert abs((side * sample > sigma).sum() - expected) < 4.5 * math.sqrt(expected) + 3


def test_far_tail_is_there():
    words = Key(3).stream("tail").words(0, 2_000_000)
    first, second = gaussian_pair(
        words >> np.uint32(10), np.roll(words, 1)
    )  # radii of the smallest 2^-10 only
    r = np.hypot(first.astype(float), second.astype(float))
    assert r.min() > 3.7
    for radius in (4.5, 5, 5.5):
        expected = len(r) * math.exp(-(radius**2) / 2) * 2**10
        assert abs((r > radius).sum() - expected) < 4.5 * math.sqrt(expected)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return abs(float(np.mean(a.astype(float) * b.astype(float)))) * math.sqrt(len(a))


def test_draws_are_independent_over_step_cell_draw_key_stream_and_pair():
    n = 200_000
    here = Key(11).stream("a").normal(3, n)
    others = {
        "step": Key(11).stream("a").normal(4, n),
        "draw": Key(11).stream("a").normal(3, n, draw=1),
        "key": Key(12).stream("a").normal(3, n),
        "high key word": Key(11 + 2**32).stream("a").normal(3, n),
        "stream": Key(11).stream("b").normal(3, n),
        "child": Key(11).child("grow", 3).stream("a").normal(3, n),
        "next cell": np.roll(here, 1),
        "partner of the pair": np.roll(here, 16),
        "other pair of the counter": np.roll(here, 32),
        "next block": np.roll(here, 64),
    }
    for name, there in others.items():
        assert correlation(here, there) < 4.5, name
        assert correlation(here**2 - 1, there**2 - 1) / 2 < 4.5, name


def test_uniform_numbers_fill_the_unit_interval():
    u = Key(5).stream("u").uniform(0, 400_000)
    assert u.dtype == np.float64
    assert 0 <= u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1
    counts = np.histogram(u, 64, (0, 1))[0]
    assert ((counts - 6250) ** 2 / 6250).sum() < 63 + 4.5 * math.sqrt(2 * 63)


@given(st.integers(0, 300), st.integers(0, 300))
def test_growing_keeps_the_draws_of_the_cells_that_were_there(n, more):
    stream = Key(99).stream("grow")
    for draw in (stream.words, stream.uniform, stream.normal):
        np.testing.assert_array_equal(draw(2, n + more)[:n], draw(2, n))
        assert draw(2, n).shape == (n,)


@given(st.integers(0, 200), st.integers(0, 10))
def test_permutations_permute(n, step):
    assert sorted(Key(1).stream("p").permutation(step, n)) == list(range(n))


def test_permutations_are_even():
    counts = dict.fromkeys(itertools.permutations(range(3)), 0)
    for step in range(3000):
        counts[tuple(Key(2).stream("p").permutation(step, 3).tolist())] += 1
    assert sum((c - 500) ** 2 / 500 for c in counts.values()) < 30


@pytest.mark.parametrize(("step", "draw"), [(-1, 0), (2**32, 0), (0, -1), (0, 2**32)])
def test_steps_and_draws_are_32_bit(step, draw):
    with pytest.raises(ConfigError, match=r"step and draw numbers in \[0, 2\^32\)"):
        Key(0).stream("a").words(step, 1, draw)


def test_last_step_and_draw_work():
    assert Key(0).stream("a").words(2**32 - 1, 3, 2**32 - 1).shape == (3,)


# ------------------------------------------------------------------------------------------------ keys


def test_children_differ_and_are_found_again():
    key = Key(42)
    children = [key.child(*path) for path in itertools.product(("grow", "waves", 0, 1, 2), repeat=2)]
    assert len({c.value for c in children}) == 25
    assert key.child("grow", 3) == key.child("grow").child(3)
    assert key.child() == key
    assert key.stream("x") == Stream(key, "x")


def test_seeds_as_spec_7_has_them():
    generator, again = np.random.default_rng(5), np.random.default_rng(5)
    key = as_key(generator)
    assert key.value == int(again.integers(0, 2**64, dtype=np.uint64))
    assert generator.bit_generator.state == again.bit_generator.state  # asked once
    assert as_key(np.random.PCG64(5)) == key
    assert (
        as_key(3) == as_key(np.int64(3)) == as_key([3]) == as_key((3,)) == as_key(np.random.SeedSequence(3))
    )
    assert as_key(key) is key
    assert as_key(None) != as_key(None)
    assert len({as_key(seed).value for seed in range(1000)}) == 1000
    assert as_key([1, 2]) != as_key([2, 1])
    assert as_key(2**70) != as_key(0)


def test_the_key_of_a_seed_stays_what_it_was():
    low, high = np.random.SeedSequence(0).generate_state(2, np.uint32)
    assert as_key(0) == Key(int(low) | int(high) << 32)
    assert as_key(0).words == (low, high)


@pytest.mark.parametrize(
    "rng",
    [True, False, -1, 1.5, "1", b"1", [1.5], {}, object(), np.random.RandomState(0)],
    ids=lambda rng: type(rng).__name__,
)
def test_other_seeds_are_refused(rng):
    with pytest.raises(ConfigError, match="rng: "):
        as_key(rng)


@pytest.mark.parametrize("value", [-1, 2**64])
def test_keys_are_64_bit(value):
    with pytest.raises(ConfigError, match=r"a key in \[0, 2\^64\)"):
        Key(value)
