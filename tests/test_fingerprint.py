"""The fingerprints of functions: what they tell apart, and what they must not."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from numba import njit

import numadelta as nd
from numadelta.fingerprint import fingerprint, held


def with_variable(value):
    def function(epoch):
        return value

    return function


def with_default(value):
    def function(epoch, rate=value):
        return rate

    return function


def with_keyword(value):
    def function(epoch, *, rate=value):
        return rate

    return function


class Schedule:
    def __init__(self, value):
        self.value = value

    def __call__(self, epoch):
        return self.value

    def method(self, epoch):
        return self.value


def within(value):
    inner = with_variable(value)
    return lambda epoch: inner(epoch)


MAKERS = {
    "variable": with_variable,
    "default": with_default,
    "keyword": with_keyword,
    "object": Schedule,
    "method": lambda value: Schedule(value).method,
    "partial": lambda value: partial(lambda epoch, rate: rate, rate=value),
    "partial argument": lambda value: partial(max, value),
    "compiled": lambda value: njit(with_variable(value)),
    "function within": within,
    "in a tuple": lambda value: with_variable((1, value)),
    "array": lambda value: with_variable(np.array([1, value])),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_a_function_holds_tells_it_apart(make):
    assert fingerprint(make(0.5)) == fingerprint(make(0.25))
    assert held(make(0.5)) == held(make(0.5)) != ""
    assert held(make(0.5)) != held(make(0.25))


def test_code_constants_and_names_tell_functions_apart():
    functions = [
        lambda z: z + 1,
        lambda z: z - 1,
        lambda z: z + 2,
        lambda z: z + 1.0,
        lambda z: np.sin(z),
        lambda z: np.cos(z),
        Schedule(1),
    ]
    assert len(set(map(fingerprint, functions))) == len(functions)
    assert {held(function) for function in functions[:-1]} == {""}
    inner = [lambda z: (lambda: z + 1)(), lambda z: (lambda: z + 2)()]
    assert len(set(map(held, inner))) == 2
    assert held(partial(max, 1)) != held(partial(min, 1))
    assert held(with_variable(math.sin)) != held(with_variable(math.cos))


def test_notes_that_a_function_takes_do_not_change_it():
    class Plateau(Schedule):
        def state_dict(self):
            return {"value": self.value}

    notes, net = [], nd.MLP((1, 2))
    objects = np.array([notes, None], object)
    functions = [
        *(with_variable(value) for value in (notes, net, objects)),
        *(Schedule(net), Plateau(1.0)),
    ]
    before = list(map(held, functions))
    notes.append(1)
    net.fit([[0.0], [1.0]], [0, 1], epochs=1, batch_size=2, verbose=0)
    functions[-1].value = 0.5
    assert list(map(held, functions)) == before


def test_a_function_that_holds_much_or_itself_is_not_followed_for_ever():
    def factorial(n):
        return n * factorial(n - 1) if n else 1

    def unfilled():
        return later

    assert held(factorial) == held(factorial)
    assert held(unfilled) == held(unfilled)
    if not factorial:
        later = None
    twice = Schedule(0)
    for _ in range(50):
        twice = Schedule((twice, twice))
    assert held(with_variable(np)) != held(with_variable(twice))


def test_another_process_has_the_same(python):
    script = """
    from functools import partial
    from numba import njit
    from numadelta.fingerprint import fingerprint, held

    def make(value):
        helper = njit(lambda z: z * value)
        return lambda z: helper(z) if z in ("a", "b", "c") else object

    functions = [
        *(make(2.5), partial(make(1), 2)),
        lambda phase: phase in {"warm", "cold", "hot", ("sets", "are", "sorted"), None},
        lambda phase: [lambda: phase in {"warm", "cold", "hot"}],
    ]
    print(*[call(f) for call in (fingerprint, held) for f in functions])
    """
    first, second = (python(script, PYTHONHASHSEED=seed) for seed in "12")
    assert first == second and "lambda" in first


def test_sets_tell_functions_apart():
    functions = [
        lambda z: z in {"a", "b"},
        lambda z: z in {"a", "c"},
        lambda z: z in {"a", ("b",)},
        lambda z: z in {1, 2},
        lambda z: z in {"1", "2"},
    ]
    assert len(set(map(fingerprint, functions))) == len(functions)
