"""Finds functions and classes of the user's own by their dotted path."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from slimline.errors import ConfigError, near_miss


def load_function(path: str, option: str) -> Callable[..., Any]:
    """Returns the function at a dotted path, as `package.module.function`.

    Args:
      path: The dotted path.
      option: Name of the option that gave it, for messages.

    Raises:
      ConfigError: There is no such module or function.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise ConfigError(f"{option}={path!r}", "package.module.function", "give the whole dotted path")
    module = _import(module_name, f"{option}={path!r}")
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ConfigError(
            f"{option}={path!r}, but {module_name} has no function {name!r}",
            "a function of that module",
            f"correct the name.{near_miss(name, known)}",
        )
    loaded: Callable[..., Any] = function
    return loaded


def load_custom_objects(module_name: str | None) -> Mapping[str, Any]:
    """Returns a module's Keras layers, models and functions by their names, and none for no module.

    Importing the module also runs its `register_keras_serializable` decorators.

    Raises:
      ConfigError: The module can't be imported.
    """
    if module_name is None:
        return {}
    module = _import(module_name, f"custom_objects={module_name!r}")
    return {name: value for name, value in vars(module).items() if _is_custom(value, module_name)}


def _is_custom(value: Any, module_name: str) -> bool:
    # Configuration objects find functions by this module, and they load no TensorFlow.
    import tf_keras

    if getattr(value, "__module__", None) != module_name:
        return False
    return inspect.isfunction(value) or (inspect.isclass(value) and issubclass(value, tf_keras.layers.Layer))


def _import(module_name: str, given: str) -> ModuleType:
    # A module of one's own lies in the folder from which the command is called.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{given}, but there is no module {error.name!r}",
            "a module that Python can import where the component runs",
            "install the package there, as in the container image, or correct the path",
        ) from error
