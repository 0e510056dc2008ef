"""What importing costs, and how the files of the house stand on one another."""

from __future__ import annotations

import ast
import platform
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from numba import config, njit

import numadelta as nd
from numadelta import kernels

PACKAGE = Path(nd.__file__).parent
TREES = {path.stem: ast.parse(path.read_text("utf-8")) for path in PACKAGE.glob("[!.]*.py")}
# Each of these folders is one room, whose files may import each other.
ROOMS = {
    f"{path.parent.name}.{path.stem}": ast.parse(path.read_text("utf-8"))
    for room in ("bench", "cli")
    for path in PACKAGE.glob(f"{room}/*.py")
}

# From the table in CONTRIBUTING.md, which is not in a wheel.
TABLE = PACKAGE.parent / "CONTRIBUTING.md"
FLOOR = {
    module.rstrip("/"): int(floor)
    for floor, modules in re.findall(r"^\| (\d+) \| (.*) \|$", TABLE.read_text("utf-8"), re.M)
    for module in re.findall("`([^`]+)`", modules)
}


def imported(tree):
    """Return all that a file imports, in functions too, as dotted names."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names}
    return names


def parts_of_numadelta(tree):
    dotted = (name.split(".") for name in imported(tree))
    return {parts[1] for parts in dotted if parts[0] == "numadelta" and len(parts) > 1}


def calls_of(function, tree):
    """Return the calls of a function or method of this name."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        c for c in calls if function in (getattr(c.func, "attr", ""), getattr(c.func, "id", ""))
    ]


def has_root_and_quotient(tree):
    powers = [node for node in ast.walk(tree) if isinstance(getattr(node, "op", None), ast.Pow)]
    halves = [p for p in powers if getattr(getattr(p, "right", None), "value", None) == 0.5]
    has_quotient = any(isinstance(node, ast.Div) for node in ast.walk(tree))
    return has_quotient and bool(halves or calls_of("sqrt", tree))


# What `import numadelta` gives and costs


def test_importing_numadelta_imports_nothing_heavy(python):
    script = """
    import sys
    import numadelta
    print({"numpy", "numba", "scipy", "sklearn", "pooch", "matplotlib", "torch"} & set(sys.modules))
    """
    assert python(script) == "set()"


def test_the_optimiser_imports_neither_scipy_nor_a_gpu(python):
    script = """
    import sys
    import numpy as np
    import numadelta
    numadelta.Adadelta(np.ones(3)).step(np.ones(3))
    numadelta.pack([np.ones(3)])
    print({"scipy.optimize", "sklearn", "numba.cuda", "numadelta.device"} & set(sys.modules))
    """
    assert python(script) == "set()"


@pytest.mark.parametrize("name", nd.__all__)
def test_every_public_name_is_there_and_listed(name):
    assert getattr(nd, name) is not None
    assert name in dir(nd)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'numadelta' has no attribute 'Adagrad'"):
        nd.Adagrad  # noqa: B018
    assert not hasattr(nd, "optimizers")


# The house


def test_every_file_has_a_floor():
    assert set(FLOOR) == set(TREES) - {"__init__"} | {"bench", "cli"}


@pytest.mark.parametrize("module", sorted({*TREES, *ROOMS} - {"__init__"}))
def test_imports_point_down_only(module):
    home = module.split(".")[0]
    tree = (TREES | ROOMS)[module]
    assert not [name for name in imported(tree) if name.startswith(".")]
    for part in (parts_of_numadelta(tree) & set(FLOOR)) - ({home} if "." in module else set()):
        assert FLOOR[part] < FLOOR[home], f"{module} imports {part}"


def test_two_files_alone_import_cuda():
    users = {
        module
        for module, tree in TREES.items()
        if any(name.split(".")[:2] == ["numba", "cuda"] for name in imported(tree))
    }
    assert users == {"cuda", "device"}


def test_the_root_of_the_rule_stands_in_one_place():
    """All with a root and a quotient are listed, but for those of others, which `bench` has."""
    assert {
        f"{module}.{function.name}"
        for module, tree in (TREES | ROOMS).items()
        if not module.startswith("bench.")
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and has_root_and_quotient(function)
    } == {
        "kernels.effective_rate",
        "kernels.largest_usable",
        "differences.step_of",
        "mlp._initialize",
        "plotting.first_layer_weights",
    }


def test_what_is_imported_is_declared_and_tested_in_its_oldest_version():
    root = PACKAGE.parent
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = " ".join(sum(extras.values(), project["dependencies"]))
    names = {name.split(".")[0] for tree in (TREES | ROOMS).values() for name in imported(tree)}
    standard = sys.stdlib_module_names | {"annotationlib"}  # the latter from Python 3.14 on
    # llvmlite is a part of Numba, whose extensions are written with it.
    for name in names - standard - {"numadelta", "llvmlite"}:
        assert re.search(rf"\b{name.replace('sklearn', 'scikit-learn')}\b", declared), name
    pins = (root / ".github" / "minimum-versions.txt").read_text("utf-8")
    for name, version in re.findall(r"^([\w-]+)==([\d.]+)\.0$", pins, re.M):
        assert f"{name}>={version} " in declared + " "
    assert set(re.findall(r"^([\w-]+)==", pins, re.M)) > {"numpy", "joblib", "threadpoolctl"}


def test_no_check_is_an_assert():
    """The flag -O removes them."""
    for module, tree in (TREES | ROOMS).items():
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Assert)], module


# The machine code


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 instructions")
def test_the_float32_step_is_packed_and_never_widened():
    # Compiled here: there is no assembly of what comes from the cache.
    step = njit(nogil=True, error_model="numpy")(kernels.step.py_func)
    signature = "float32[::1],float32[::1],float32[::1],float32[::1],f8,f8,f8,f8,b1"
    step.compile(f"void({signature})")
    (assembly,) = step.inspect_asm().values()
    for packed in ("sqrtps", "divps"):
        assert packed in assembly
    for widening in ("cvtps2pd", "rsqrt"):
        assert widening not in assembly
    arrays = np.ones((4, 20), np.float32)
    step(*arrays, 1.0, 0.95, 1e-6, 0.0, False)
    assert (arrays[0] < 1).all()


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
def test_the_step_counts_in_64_bits():
    """Arrays beyond 2**31 elements need it, and more memory than a test should take."""
    step = njit(nogil=True, error_model="numpy")(kernels.step.py_func)
    step.compile("void(f4[::1],f4[::1],f4[::1],f4[::1],f8,f8,f8,f8,b1)")
    (overload,) = step.overloads.values()
    types = {
        str(kind)
        for name, kind in overload.type_annotation.typemap.items()
        if name == "i" or name.startswith("i.")
    }
    assert types and types <= {"int64", "uint64"}


def test_the_estimators_are_an_attribute_that_is_imported_when_it_is_asked_for(python):
    pytest.importorskip("sklearn")
    script = """
    import sys
    import numadelta as nd

    before = "sklearn" in sys.modules
    print(before, nd.sklearn.MLPClassifier.__name__, "sklearn" in sys.modules)
    """
    assert python(script) == "False MLPClassifier True"
