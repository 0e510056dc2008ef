"""`minimize_batch`: many independent problems of one ``@njit`` objective in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba.extending import is_jitted
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import Bounds, OptimizeResult

from numadelta import problem, progress
from numadelta.arrays import as_array, check_integer
from numadelta.bounds import lower_and_upper
from numadelta.jit import ENABLED
from numadelta.rounds import Batch


def minimize_batch(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: Any = (),
    in_axes: int | None | Sequence[int | None] = 0,
    jac: Any = None,
    bounds: Any = None,
    tol: float | None = None,
    callback: Callable[[int, int], Any] | None = None,
    options: dict[str, Any] | None = None,
    **options_as_keywords: Any,
) -> OptimizeResult:
    """Minimise many independent problems of one compiled objective, on all cores.

    Each problem is minimised as `numadelta.minimize` would do it alone, to the same bits, whatever
    the number of threads and of other problems.

    Parameters
    ----------
    fun : ``@njit`` function
        The objective of one problem, in any of the forms that `numadelta.minimize` takes.
    x0 : array_like, shape (B, n) or (n,)
        Where to start: one row per problem, or one start for all.  float32 or float64, as there.
    args : tuple, optional
        Further arguments: numbers and arrays.
    in_axes : int, None or sequence of these, default 0
        The axis of each argument that counts the problems, as in ``jax.vmap``: problem k gets
        slice k along it.  None is an argument that all share.  One value stands for all arguments;
        a sequence has one entry per argument.
    jac, tol, options : optional
        As in `numadelta.minimize`.  The options `return_all`, `averaging`, `lr_decay`, `workers`
        and `check_gradient` are of single problems only.
    bounds : scipy.optimize.Bounds or sequence of (min, max), optional
        The limits that all problems share, as in `numadelta.minimize`; or, as a pair or as Bounds,
        arrays of shape (B, n), lower and upper limits of each problem.
    callback : callable, optional
        Called about every 20 ms as ``callback(done, B)`` with the number of problems that have
        ended.  StopIteration ends the run.
    maxtime : float, optional
        Seconds for the whole batch.
    disp : bool, default False
        Whether to show a progress bar (with tqdm, from the extra ``progress``).

    Returns
    -------
    scipy.optimize.OptimizeResult
        With ``x`` and ``jac`` of shape (B, n), and ``fun``, ``nit``, ``nfev``, ``njev``,
        ``status`` and ``success`` of shape (B,).  ``status`` is that of `numadelta.minimize`; 99
        marks problems that were not finished when the callback or Ctrl-C stopped the run.
        ``message`` describes the whole.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of the right kind, shape or range, as in `numadelta.minimize`.
    BaseException
        An exception in one problem ends all.  It has a note that says in which, and like
        KeyboardInterrupt, which comes within a few hundredths of a second, what has been found by
        then as its attribute ``result``.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import njit
    >>> import numadelta as nd
    >>> @njit
    ... def fun(x, grad, target):
    ...     grad[0] = 2 * (x[0] - target)
    ...     return (x[0] - target) ** 2
    >>> res = nd.minimize_batch(fun, [0.0], args=(np.arange(4.0),), jac="inplace")
    >>> res.success.all(), res.x[:, 0].round(3)
    (np.True_, array([0., 1., 2., 3.]))
    """
    for name, function in {"fun": fun, "jac": jac if callable(jac) else fun}.items():
        if ENABLED and not is_jitted(function):
            raise TypeError(f"{name} must be compiled: decorate it with numba.njit")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, but is a {type(callback).__name__}")
    x, args, count = _spread(x0, args if isinstance(args, tuple) else (args,), in_axes)
    given = problem.merged(minimize_batch, options, options_as_keywords, tol)
    for name in ("return_all", "averaging", "lr_decay", "workers", "check_gradient"):
        if given.get(name):
            raise ValueError(f"{name} is an option of minimize, not of minimize_batch")
    chosen = problem.Options(x.dtype, **given)
    lower, upper = _limits(bounds, x, count)
    x = problem.clipped(x, lower, upper)
    batch = Batch(x, lower, upper, count, chosen)
    if count:
        jac, differences = problem.derivative(jac, x[0], lower[0], upper[0], chosen)
        with _progress(count, chosen.disp, callback) as report:
            run = batch.run if ENABLED else batch.run_in_python
            try:
                run(fun, jac, args, differences, report)
                if jac == "inplace":
                    batch.check_assigned(fun, args)
            except BaseException as error:
                batch.annotate(error)
                raise
    return batch.result()


def _spread(
    x0: ArrayLike, args: tuple[Any, ...], in_axes: int | None | Sequence[int | None]
) -> tuple[NDArray[Any], tuple[NDArray[Any], ...], int]:
    """Return x0 and args with a first axis that counts the problems or has length 1."""
    x = problem.start_of(x0, 2)
    axes = in_axes if isinstance(in_axes, (tuple, list)) else [in_axes] * len(args)
    if len(axes) != len(args):
        raise ValueError(f"in_axes has {len(axes)} entries, but args has {len(args)}")
    counts = {"x0": len(x)} if x.ndim == 2 else {}
    spread = []
    for k, (value, axis) in enumerate(zip(args, axes, strict=True)):
        name = f"args[{k}]"
        array = as_array(name, value)
        if array.dtype.kind not in "fiubc":
            raise TypeError(
                f"{name} must be a number or an array of numbers, but is a {type(value).__name__}"
                f" (dtype {array.dtype})"
            )
        if axis is None:
            array = array[None]
        else:
            axis = check_integer(f"in_axes[{k}]", axis)
            if not -array.ndim <= axis < array.ndim:
                raise ValueError(
                    f"{name} has shape {array.shape}, so that in_axes must be None or name one of "
                    f"its {array.ndim} axes, but is {axis}"
                )
            array = np.moveaxis(array, axis, 0)
            counts[name] = len(array)
        # Compiled code is made for a memory layout, so there shall be one.
        spread.append(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count} in {name}" for name, count in counts.items())
        raise ValueError(
            f"the numbers of problems differ: {found}; None in in_axes is for what all share"
        )
    if not counts:
        raise ValueError(
            "nothing counts the problems: give x0 of shape (B, n), or in_axes of an argument"
        )
    return np.atleast_2d(x), tuple(spread), next(iter(counts.values()))


def _limits(bounds: Any, x: NDArray[Any], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return lower and upper limits of shape (1, n) or (B, n)."""
    each = count, x.shape[1]
    if isinstance(bounds, Bounds) and np.shape(bounds.lb) == np.shape(bounds.ub) == each:
        bounds = bounds.lb, bounds.ub
    pair = bounds if isinstance(bounds, (tuple, list)) else ()
    if list(map(_shape, pair)) == [each] * 2:
        every = np.broadcast_to(x, each).ravel()
        lower, upper = lower_and_upper(Bounds(*map(np.ravel, bounds)), every)
        return lower.reshape(each), upper.reshape(each)
    lower, upper = lower_and_upper(bounds, x[0]) if len(x) else (x, x)
    return np.atleast_2d(lower), np.atleast_2d(upper)


def _shape(limit: Any) -> tuple[int, ...]:
    try:
        return np.shape(limit)
    except ValueError:  # ragged, which has a message of its own
        return ()


@contextmanager
def _progress(
    count: int, disp: bool, callback: Callable[[int, int], Any] | None
) -> Iterator[Callable[[int], bool]]:
    """Yield a function of the number of problems done that tells whether to stop."""
    bar = None
    if disp:
        try:
            tqdm = progress.import_tqdm()
        except ImportError as error:
            raise ImportError("disp=True needs tqdm: pip install 'numadelta[progress]'") from error
        bar = tqdm(total=count, unit=" problems", unit_scale=True)

    def report(done: int) -> bool:
        if bar is not None:
            bar.update(done - bar.n)
        try:
            if callback is not None:
                callback(done, count)
        except StopIteration:
            return True
        return False

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()
