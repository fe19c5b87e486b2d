"""What a report of a bug needs to say."""

import importlib.metadata
import os
import platform

_NEEDED = (
    "jax", "jaxlib", "flax", "optax", "numpy", "pillow", "matplotlib", "jaxtyping", "typer",
)  # fmt: skip
_OPTIONAL = ("onnx", "equinox", "scikit-learn", "starlette", "uvicorn", "torch")
_SETTINGS = ("JAX_", "JAXVIZ_", "XLA_", "CUDA_VISIBLE", "TF_CPP", "OMP_", "PYTHONHASHSEED")


def info() -> None:
    """Print versions, devices, settings and folders: what a report of a bug needs.

    Nothing of your pictures or networks is in it. The paths hold your user name.
    """
    import jax

    from .. import __version__
    from ..cpu.policy import compiler_options
    from ..networks.places import cache_folder, shipped_folder

    weights = sorted(file.stem for file in shipped_folder().glob("*.safetensors"))
    fetched = sorted(file.stem for file in cache_folder().glob("*.safetensors"))
    lines = {
        "jaxviz": __version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": platform.platform(),
        "packages": _versions(_NEEDED),
        "optional packages": _versions(_OPTIONAL),
        "devices": ", ".join(f"{device.device_kind} ({device})" for device in jax.devices()),
        "cores": str(os.cpu_count()),
        "compiler options": str(compiler_options() or ""),
        "settings": " ".join(
            f"{name}={value}"
            for name, value in sorted(os.environ.items())
            if name.startswith(_SETTINGS)
        ),
        "shipped weights": f"{', '.join(weights) or 'none'} in {shipped_folder()}",
        "fetched weights": f"{', '.join(fetched) or 'none'} in {cache_folder()}",
        "compiled programs": os.environ.get("JAX_COMPILATION_CACHE_DIR", "not kept"),
    }
    for name, value in lines.items():
        print(f"{name}: {value or 'none'}")


def _versions(packages: tuple[str, ...]) -> str:
    found = []
    for package in packages:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)
