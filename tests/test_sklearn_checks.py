"""scikit-learn's own checks of what estimators should do; none is expected to fail.

That weights equal repeated rows is among them.  Mini-batches cannot do it, but the few rows
of these checks are one batch, whose penalty is divided by the sum of its weights.
"""

from __future__ import annotations

import numba
import pytest
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from numadelta.sklearn import MLPClassifier, MLPRegressor

# Default parameters, but a smaller network where Python does the loops.
SIZE = {"hidden_layer_sizes": (8,)} if numba.config.DISABLE_JIT else {}

# Some checks train too briefly.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@parametrize_with_checks([MLPClassifier(**SIZE), MLPRegressor(**SIZE)])
def test_check(estimator, check):
    check(estimator)


def squared_hinge(output, target):
    return max(0.0, 1 - output * target) ** 2


def squared_hinge_slope(output, target):
    return -2 * target * max(0.0, 1 - output * target)


def test_checks_with_a_loss_of_the_users():
    # In one test: the names of several would hold addresses, which differ between xdist's workers.
    check_estimator(MLPClassifier(loss=(squared_hinge, squared_hinge_slope), **SIZE), on_skip=None)
