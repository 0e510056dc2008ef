"""What `numadelta.minimize` takes, what it refuses and with which words; and its bounds."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, OptimizeWarning, minimize

import numadelta as nd


def bowl(x):
    return float(x @ x)


def slope(x):
    return 2 * x


@pytest.fixture(params=[True, False], ids=["safeguard", "plain"])
def minimise(request):
    return functools.partial(nd.minimize, safeguard=request.param)


def unreachable(x):
    raise AssertionError("called, although an argument is wrong")


# x0


@pytest.mark.parametrize(
    ("x0", "error", "message"),
    [
        ([[1.0, 2.0]], ValueError, "'x0' must only have one dimension"),
        ([], ValueError, "x0 must not be empty"),
        ([1.0, [2.0]], ValueError, "x0 cannot be made an array"),
        ([1.0, np.nan], ValueError, r"x0 must be finite, but x0\[1\] is nan"),
        ([np.inf], ValueError, r"x0 must be finite, but x0\[0\] is inf"),
        (None, TypeError, "x0 has dtype object, but real numbers are needed"),
        (np.array([1.0], object), TypeError, "x0 has dtype object, but real numbers are needed"),
        ([1j], TypeError, "x0 has dtype complex128, but real numbers are needed"),
        ("1", TypeError, "x0 has dtype <U1, but real numbers are needed"),
        (np.array(["2026-01-01"], "M8[D]"), TypeError, "x0 has dtype"),
        (np.ma.array([1.0, 2.0], mask=[1, 0]), TypeError, "x0 is a masked array"),
    ],
)
def test_x0_is_one_dimension_of_finite_real_numbers(x0, error, message):
    with pytest.raises(error, match=message):
        nd.minimize(unreachable, x0)


def test_x0_is_never_modified(minimise):
    x0 = np.array([1.0, 2.0])
    x0.flags.writeable = False
    found = minimise(bowl, x0, maxiter=3)
    np.testing.assert_array_equal(x0, [1, 2])
    assert not np.shares_memory(found.x, x0)


# Options


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"maxiter": -1}, ValueError, "maxiter must be at least 0, but is -1"),
        ({"maxiter": -0.5}, ValueError, "maxiter must be at least 0, but is -0.5"),
        ({"maxiter": np.nan}, ValueError, "maxiter must be at least 0, but is nan"),
        ({"maxiter": "9"}, TypeError, "maxiter must be a real number, but is '9'"),
        ({"maxiter": True}, TypeError, "maxiter must be a real number, but is True"),
        ({"maxfev": 0}, ValueError, "maxfev must be at least 1, but is 0"),
        ({"maxfev": np.nan}, ValueError, "maxfev must be at least 1, but is nan"),
        ({"gtol": -1e-9}, ValueError, "gtol must not be negative"),
        ({"gtol": np.nan}, ValueError, "gtol must be finite"),
        ({"gtol": "small"}, TypeError, "gtol must be a real number"),
        ({"tol": -1.0}, ValueError, "^tol must not be negative"),
        ({"ftol": -1e-9}, ValueError, "ftol must not be negative"),
        ({"ftol": np.nan}, ValueError, "ftol must be finite"),
        ({"ftol": "small"}, TypeError, "ftol must be a real number"),
        ({"xtol": -1e-9}, ValueError, "xtol must not be negative"),
        ({"xtol": np.inf}, ValueError, "xtol must be finite"),
        ({"xtol": "small"}, TypeError, "xtol must be a real number"),
        ({"maxtime": -1}, ValueError, "maxtime must be at least 0 seconds, but is -1"),
        ({"maxtime": np.nan}, ValueError, "maxtime must be at least 0 seconds, but is nan"),
        ({"maxtime": "1 s"}, TypeError, "maxtime must be a real number"),
        ({"lr_decay": 0.1}, ValueError, "lr_decay and averaging .* need safeguard=False"),
        ({"averaging": True}, ValueError, "lr_decay and averaging .* need safeguard=False"),
        ({"lr_decay": -0.1, "safeguard": False}, ValueError, "lr_decay must not be negative"),
        ({"lr_decay": np.nan, "safeguard": False}, ValueError, "lr_decay must be finite"),
        ({"lr": -1.0}, ValueError, "lr must not be negative"),
        ({"lr": np.inf}, ValueError, "lr must be finite"),
        ({"rho": 1.0}, ValueError, r"rho must be in \[0, 1\)"),
        ({"eps": 0.0}, ValueError, "eps must be positive"),
        ({"eps": None}, TypeError, "eps must be a real number, but is None"),
        ({"eps": [1e-8, 1e-8]}, TypeError, "SciPy's eps is finite_diff_rel_step here"),
        ({"eps": np.full(2, 1e-8)}, TypeError, "SciPy's eps is finite_diff_rel_step here"),
        ({"options": [("lr", 1)]}, TypeError, "options must be a dict, but is a list"),
        ({"options": {"lr": 1}, "lr": 1}, TypeError, "given twice, in options and .*: lr"),
        ({"callback": "print"}, TypeError, "callback must be callable, but is a str"),
        ({"finite_diff_rel_step": 0}, ValueError, "finite_diff_rel_step must be .* positive"),
        ({"finite_diff_rel_step": 1e-17}, ValueError, "finite_diff_rel_step must be .* at least"),
        ({"finite_diff_rel_step": [1e-8] * 3}, ValueError, r"finite_diff_rel_step has shape \(3,"),
        ({"finite_diff_rel_step": "abc"}, TypeError, "finite_diff_rel_step has dtype <U3"),
        ({"finite_diff_rel_step": [None] * 2}, TypeError, "finite_diff_rel_step has dtype object"),
        ({"finite_diff_rel_step": [1, [2]]}, ValueError, "finite_diff_rel_step cannot be made an"),
        ({"jacobian": slope}, TypeError, r"argument 'jacobian' \(did you mean jac\?\)"),
        ({"arg": (1,)}, TypeError, r"minimize\(\) .* 'arg' \(did you mean args\?\)"),
        ({"max_iter": 9}, TypeError, r"argument 'max_iter' \(did you mean maxiter\?\)"),
        ({"maxls": 9}, TypeError, "unexpected keyword argument 'maxls'$"),
        ({"method": "BFGS"}, TypeError, "minimize has no choice of method, it is ADADELTA"),
        ({"safeguard": "no"}, TypeError, "safeguard must be True or False, but is 'no'"),
        ({"safeguard": None}, TypeError, "safeguard must be True or False, but is None"),
        ({"averaging": 1}, TypeError, "averaging must be True or False, but is 1"),
        ({"return_all": "no"}, TypeError, "return_all must be an integer, but is 'no'"),
        ({"check_gradient": "no"}, TypeError, "check_gradient must be True or False"),
        ({"disp": "no"}, TypeError, "disp must be an integer, but is 'no'"),
        ({"constraints": {"type": "eq", "fun": bowl}}, ValueError, "cannot handle constraints"),
        ({"constraints": [LinearConstraint([1, 1])]}, ValueError, "cannot handle constraints"),
    ],
)
def test_options_are_checked_before_anything_is_evaluated(options, error, message):
    with pytest.raises(error, match=message):
        nd.minimize(unreachable, [1.0, 2.0], **options)


def test_an_eps_that_float32_rounds_to_zero_is_refused():
    with pytest.raises(ValueError, match=r"eps must be positive \(as float32"):
        nd.minimize(unreachable, np.ones(1, np.float32), eps=1e-50)


def test_no_method_is_no_choice_of_method(minimise):
    assert minimise(bowl, [1.0], method=None).success


@pytest.mark.parametrize("arguments", [("BFGS",), (None, slope), (None, True), (None, "2-point")])
def test_arguments_in_the_order_of_scipy_are_told_that_there_is_no_method(arguments):
    with pytest.raises(ValueError, match="there is no method here, so best pass jac and bounds by"):
        nd.minimize(unreachable, [1.0], (), *arguments)


@pytest.mark.parametrize("nothing", [(), [], None])
def test_no_constraints_are_no_constraints(minimise, nothing):
    assert minimise(bowl, [1.0], constraints=nothing).success


@pytest.mark.parametrize(
    ("options", "category", "message"),
    [
        (
            {"options": {"maxls": 1, "step": 0}},
            OptimizeWarning,
            "Unknown solver options: maxls, step$",
        ),
        (
            {"options": {"maxfun": 9, "max_iter": 9}},
            OptimizeWarning,
            r"options: maxfun \(did you mean maxfev\?\), max_iter \(did you mean maxiter\?\)",
        ),
        ({"hess": np.eye}, RuntimeWarning, "hess is not used"),
        ({"hessp": np.eye}, RuntimeWarning, "hessp is not used"),
        (
            {"jac": slope, "finite_diff_rel_step": 1e-3},
            RuntimeWarning,
            "finite_diff_rel_step is not used",
        ),
        ({"jac": slope, "workers": 2}, RuntimeWarning, "workers is not used: it is for finite"),
    ],
)
def test_what_is_not_used_is_warned_about_at_the_line_of_the_call(options, category, message):
    with pytest.warns(category, match=message) as record:
        assert nd.minimize(bowl, [1.0], **options).success
    assert [warning.filename for warning in record] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(category, match=message):
            nd.minimize(unreachable, [1.0], **options)


def test_scipy_passes_its_keywords_on_to_the_same_checks():
    with pytest.raises(ValueError, match="cannot handle constraints"):
        minimize(bowl, [1.0], method=nd.adadelta, constraints={"type": "eq", "fun": bowl})
    with pytest.warns(RuntimeWarning, match="hess is not used"):
        minimize(bowl, [1.0], method=nd.adadelta, hess=np.eye)
    with pytest.warns(OptimizeWarning, match="Unknown solver options: maxls"):
        minimize(bowl, [1.0], method=nd.adadelta, options={"maxls": 20})


def test_finite_difference_steps_can_be_chosen(minimise):
    def cube(x):
        return x[0] ** 3

    found = minimise(cube, [2.0], finite_diff_rel_step=0.01, maxiter=0)
    np.testing.assert_allclose(found.jac, (2.02**3 - 2.0**3) / 0.02, rtol=1e-12)


@pytest.mark.parametrize("disp", [0, np.int64(0), np.False_, None])
def test_disp_and_return_all_may_be_integers_as_in_scipy(disp, capsys):
    assert "allvecs" not in nd.minimize(bowl, [1.0], disp=disp, return_all=disp)
    assert "allvecs" in nd.minimize(bowl, [1.0], return_all=1)
    assert capsys.readouterr().out == ""


# What an exception leaves


def test_an_exception_of_the_last_callback_is_no_success(minimise):
    def callback(x):
        if abs(slope(x)) <= 1:
            raise LookupError

    with pytest.raises(LookupError) as caught:
        minimise(bowl, [3.0], jac=slope, gtol=1, callback=callback)
    assert (caught.value.result.status, caught.value.result.success) == (99, False)


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt])
def test_an_exception_has_what_was_found_before(minimise, error):
    seen = []

    def fun(x):
        if len(seen) == 2:
            raise error
        seen.append(bowl(x))
        return seen[-1]

    with pytest.raises(error) as caught:
        minimise(fun, [3.0], jac=slope)
    found = caught.value.result
    assert (found.status, found.success) == (99, False)
    assert found.message == "An exception has ended the run."
    assert found.fun == min(seen) == bowl(found.x)
    assert found.nfev == 2


def test_an_exception_in_the_check_of_the_gradient_has_a_result(minimise):
    def fun(x):
        raise LookupError

    with pytest.raises(LookupError) as caught:
        minimise(fun, [3.0], jac=slope, check_gradient=True)
    assert caught.value.result.nfev == 0
    assert caught.value.result.x == 3


def test_an_exception_that_takes_no_attributes_passes_unchanged():
    class Plain(Exception):
        result = property()

    def fun(x):
        raise Plain

    with pytest.raises(Plain):
        nd.minimize(fun, [3.0])


# fun and jac


@pytest.mark.parametrize("fun", [None, 3.0, [bowl]])
def test_fun_must_be_callable(fun):
    with pytest.raises(TypeError, match="fun must be callable"):
        nd.minimize(fun, [1.0])


@pytest.mark.parametrize("jac", ["4-point", "", 1, 0.5, [slope], np.ones(2)])
def test_jac_must_be_one_of_its_forms(jac):
    with pytest.raises(
        ValueError, match="jac must be a function, True, False, None or one of inplace, 2-"
    ):
        nd.minimize(unreachable, [1.0, 2.0], jac=jac)


@pytest.mark.parametrize("jac", [None, False, "2-point", np.False_])
def test_no_jac_means_two_point_differences(minimise, jac):
    found = minimise(bowl, [1.0, 2.0], jac=jac, maxiter=1)
    assert (found.nfev, found.njev) == (6, 2)


SCALAR = "The user-provided objective function must return a scalar value."


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, TypeError, "fun returned a NoneType"),
        ("1.0", TypeError, "fun returned a str"),
        (1j, TypeError, "fun returned a complex"),
        (np.complex64(1), TypeError, "fun returned a complex64"),
        (True, TypeError, "fun returned a bool"),
        (np.ma.masked, TypeError, "fun returned .*, but it must be a real one"),
        ([1.0, 2.0], TypeError, "fun returned a list of length 2"),
        ([[1.0, [2.0]]], TypeError, "fun returned a list of length 1, but it must be a real one"),
        ((), TypeError, "fun returned a tuple of length 0"),
        (np.ones(2), ValueError, r"fun returned an array of shape \(2,\)"),
        (np.ones(0), ValueError, r"fun returned an array of shape \(0,\)"),
        ((1.0, np.ones(2)), TypeError, "fun returned a tuple of length 2; pass jac=True"),
    ],
)
@pytest.mark.parametrize("jac", [None, slope, True], ids=["differences", "function", "pair"])
def test_a_value_that_is_not_one_real_number_is_refused(minimise, jac, value, error, message):
    with pytest.raises(error, match=message) as caught:
        minimise(lambda x: (value, slope(x)) if jac is True else value, [1.0, 2.0], jac=jac)
    assert str(caught.value).startswith(SCALAR)


@pytest.mark.parametrize("returned", [1.0, None, np.ones(2), (1.0,), (1.0, np.ones(2), 3)])
def test_jac_true_wants_a_pair_from_fun(minimise, returned):
    with pytest.raises(TypeError, match="with jac=True fun must return a pair.*a function as jac"):
        minimise(lambda x: returned, [1.0, 2.0], jac=True)


def test_a_pair_as_a_list_is_a_pair(minimise):
    assert minimise(lambda x: [bowl(x), slope(x)], [1.0, 2.0], jac=True).success


@pytest.mark.parametrize(
    ("gradient", "error", "message"),
    [
        (None, TypeError, "be an array of real numbers .*, but is a NoneType"),
        ("ab", TypeError, "but is a str"),
        (np.array([1j, 2]), TypeError, r"but is an array of shape \(2,\) and dtype complex128"),
        (np.array([1.0, 2], object), TypeError, r"and dtype object"),
        (np.array([True, False]), TypeError, r"and dtype bool"),
        ([[1.0], [1.0, 2.0]], TypeError, "but is a list of length 2"),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), TypeError, "real numbers"),
        (np.ones(3), ValueError, r"has shape \(3,\), but x0 has shape \(2,\)"),
        (np.ones((2, 1)), ValueError, r"has shape \(2, 1\), but x0 has shape \(2,\)"),
        ([], ValueError, r"has shape \(0,\), but x0 has shape \(2,\)"),
        (1.0, ValueError, r"has shape \(1,\), but x0 has shape \(2,\)"),
    ],
)
@pytest.mark.parametrize("together", [False, True], ids=["jac", "jac=True"])
def test_a_gradient_of_the_wrong_kind_or_shape_is_refused(together, gradient, error, message):
    fun = (lambda x: (1.0, gradient)) if together else bowl
    jac = True if together else lambda x: gradient
    with pytest.raises(error, match=f"jac.*{message}"):
        nd.minimize(fun, [1.0, 2.0], jac=jac)


def test_the_complex_step_wants_complex_values(minimise):
    with pytest.raises(TypeError, match="with jac='cs', a complex one"):
        minimise(lambda x: float(abs(x @ x)), [1.0, 2.0], jac="cs")


# Bounds


BOX = [(0.5, 2.0), (-1.0, -0.25)]


@pytest.mark.parametrize(
    "bounds",
    [
        BOX,
        tuple(BOX),
        np.array(BOX),
        Bounds([0.5, -1.0], [2.0, -0.25]),
        Bounds([0.5, -1.0], [2.0, -0.25], keep_feasible=True),
        [(0.5, None), (None, -0.25)],
        [(0.5, np.inf), (-np.inf, -0.25)],
        Bounds([0.5, -np.inf], [np.inf, -0.25]),
        [(np.array([0.5]), np.array(2)), (np.array([-1.0]), np.array(-0.25))],
    ],
    ids=lambda bounds: type(bounds).__name__,
)
@pytest.mark.parametrize("jac", [None, "3-point", "cs", slope])
def test_the_minimum_on_the_edge_of_a_box_is_found(minimise, bounds, jac):
    found = minimise(lambda x: x @ x, [1.0, -0.5], jac=jac, bounds=bounds)
    assert found.success
    np.testing.assert_array_equal(found.x, [0.5, -0.25])


def test_bounds_may_be_an_iterator(minimise):
    found = minimise(bowl, [1.0, -0.5], bounds=zip([0.5, -1], [2, -0.25], strict=True))
    np.testing.assert_array_equal(found.x, [0.5, -0.25])


@pytest.mark.parametrize("bounds", [Bounds(0.5, 2), Bounds([0.5], [2, 2]), [(0.5, 2)]])
def test_one_pair_of_bounds_holds_for_all(minimise, bounds):
    np.testing.assert_array_equal(minimise(bowl, [1.0, 2.0], bounds=bounds).x, [0.5, 0.5])


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([(0, 1), (2, 1)], "An upper bound is less than the corresponding lower bound."),
        (Bounds([0, 1], [1, 0]), "An upper bound is less than the corresponding lower bound."),
        ([(0, 1)] * 3, "The number of bounds is not compatible with the length of `x0`."),
        (Bounds([0] * 3, 1), "The number of bounds is not compatible with the length of `x0`."),
        ([(0, np.nan), (0, 1)], "bounds must not be NaN"),
        (Bounds(np.nan, 1), "bounds must not be NaN"),
        ([(np.inf, np.inf), (0, 1)], "bounds leave a coordinate no finite float64 number"),
        ([(0, 1), (None, -np.inf)], "bounds leave a coordinate no finite float64 number"),
        ([0, 1], "bounds must be a Bounds object or a sequence of"),
        ([(0, 1, 2), (0, 1, 2)], "bounds must be a Bounds object or a sequence of"),
        ([], "bounds must be a Bounds object or a sequence of"),
        (3.0, "bounds must be a Bounds object or a sequence of"),
        ([("a", "b"), (0, 1)], "bounds must be a Bounds object or a sequence of"),
        ([(0j, 1j), (0, 1)], "bounds has dtype complex128, but real numbers are needed"),
        ([(-(10**400), 1), (0, 1)], "bounds has dtype object, but real numbers are needed"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        nd.minimize(unreachable, [0.5, 0.5], bounds=bounds)


def test_limits_as_two_arrays_are_told_of_bounds():
    with pytest.raises(ValueError, match=r"limits as two arrays go into Bounds\(lower, upper\)"):
        nd.minimize(unreachable, np.full(3, 0.5), bounds=(np.zeros(3), np.ones(3)))


def test_the_bounds_given_are_not_modified(minimise):
    bounds = Bounds([0.0], [1.0])
    lower, upper = bounds.lb, bounds.ub
    minimise(bowl, [0.5, 0.25], bounds=bounds)
    assert bounds.lb is lower and bounds.ub is upper
    assert (lower, upper) == ([0], [1])


def test_a_start_outside_the_bounds_is_clipped_with_a_warning(minimise):
    seen = []

    def fun(x):
        seen.append(x.copy())
        return bowl(x)

    with pytest.warns(RuntimeWarning, match="Initial guess is not within the specified bounds"):
        found = minimise(fun, [5.0, -5.0], bounds=BOX, maxiter=0)
    np.testing.assert_array_equal(seen[0], [2, -1])
    np.testing.assert_array_equal(found.x, [2, -1])


def test_equal_bounds_fix_a_coordinate(minimise):
    seen = []

    def fun(x):
        seen.append(x[1])
        return bowl(x)

    found = minimise(fun, [1.0, 3.0], bounds=[(None, None), (3, 3)])
    assert set(seen) == {3.0}
    assert found.success
    assert found.nfev == 2 * found.njev
    np.testing.assert_allclose(found.x, [0, 3], atol=1e-5)
    assert found.jac[1] == 0


@pytest.mark.parametrize("jac", [None, "3-point", "cs", slope])
def test_if_all_bounds_are_equal_there_is_nothing_to_do(minimise, jac):
    found = minimise(lambda x: x @ x, [1.0, 3.0], jac=jac, bounds=[(1, 1), (3, 3)])
    assert (found.success, found.nit, found.nfev, found.fun) == (True, 0, 1, 10)


def test_convergence_on_a_bound_ignores_the_slope_that_points_out_of_it(minimise):
    found = minimise(lambda x: float(x[0]), [2.0], jac=np.ones_like, bounds=[(2, 9)])
    assert (found.success, found.nit, found.jac) == (True, 0, 1)
    inwards = minimise(lambda x: float(-x[0]), [2.0], jac=lambda x: -np.ones(1), bounds=[(2, 9)])
    assert (inwards.success, inwards.x) == (True, 9)


class Watched:
    """An objective that fails outside its bounds."""

    def __init__(self, lower, upper, dtype):
        self.lower, self.upper, self.dtype = lower, upper, dtype

    def __call__(self, x):
        assert x.dtype == self.dtype
        assert (self.lower <= x.astype(float)).all() and (x.astype(float) <= self.upper).all()
        return ((x - 0.3) ** 2).sum() + np.cos(40 * x).sum()


LIMIT = st.floats(-1, 1) | st.sampled_from([-np.inf, np.inf, 0.1, 1 / 3])


@given(
    st.lists(st.tuples(LIMIT, LIMIT, st.floats(0, 1)), min_size=1, max_size=4),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(["2-point", "3-point"]),
    st.sampled_from([1.0, 30.0]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_no_evaluation_leaves_the_bounds(box, dtype, scheme, lr, safeguard):
    ends = np.array([sorted(pair[:2]) for pair in box])
    lower, upper = np.where(ends == [np.inf, -np.inf], [-np.inf, np.inf], ends).T
    # The nearest float32 number stands for a range that holds none.
    narrow = lower.astype(dtype) == upper.astype(dtype)
    lower = np.where(narrow, lower.astype(dtype), lower)
    upper = np.where(narrow, lower, upper)
    share = np.array([pair[2] for pair in box])
    x0 = np.maximum(lower, -2) * (1 - share) + np.minimum(upper, 2) * share
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # x0 rounded to float32 may be outside
        nd.minimize(
            Watched(lower, upper, dtype),
            x0.astype(dtype),
            jac=scheme,
            bounds=Bounds(lower, upper),
            maxiter=12,
            lr=lr,
            safeguard=safeguard,
        )


def test_scipy_hands_bounds_over_as_they_are():
    received = []

    def spy(fun, x0, **keywords):
        received.append(keywords["bounds"])
        return nd.adadelta(fun, x0, **keywords)

    solve = functools.partial(minimize, bowl, [1.0, 2.0], method=spy)
    for bounds in ([(0.5, None), (0.5, 3)], Bounds(0.5, 3)):
        np.testing.assert_array_equal(solve(bounds=bounds).x, [0.5, 0.5])
        assert received[-1] is bounds


def test_none_is_the_default_of_a_tolerance():
    def run(**options):
        return nd.minimize(lambda x: ((x - 1) ** 2).sum(), [3.0, 4.0], **options)

    names = ("gtol", "ftol", "xtol", "lr_decay")
    for safeguard in (True, False):
        one, other = run(safeguard=safeguard), run(safeguard=safeguard, **dict.fromkeys(names))
        assert (one.nfev, one.x.tobytes()) == (other.nfev, other.x.tobytes())


@pytest.mark.parametrize("name", ["dtype", "self"])
def test_names_of_our_own_code_are_unknown_options(name):
    with pytest.warns(OptimizeWarning, match=f"Unknown solver options: {name}"):
        nd.minimize(lambda x: x @ x, [1.0], options={name: 1})


def test_options_have_names():
    with pytest.raises(TypeError, match="options must have names as keys, but has 3"):
        nd.minimize(lambda x: x @ x, [1.0], options={3: 4})


@pytest.mark.parametrize(("number", "value"), [(10**30, 1e30), (-(10**400), -np.inf)])
def test_a_value_may_be_any_python_integer(number, value):
    assert nd.minimize(lambda x: number, [1.0], jac=lambda x: np.zeros(1)).fun == value
