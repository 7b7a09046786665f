"""Makes the two distributions in `vendor/`, byte for byte the same each time.

    python make_vendor.py [FOLDER]

A wheel and a source distribution are archives with a few lines of metadata; the standard library
writes both. The source distribution requires the wheel by name: both are found in `vendor/`.
"""

import base64
import gzip
import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

VERSION = "1.0.0"

SCALES = '''\
"""Scales of temperature."""


def to_fahrenheit(celsius):
    return celsius * 9 / 5 + 32
'''

COOLING = '''\
"""How a warm thing cools in a room, by Newton's law."""

import math

from example_scales import to_fahrenheit

ROOM_FAHRENHEIT = to_fahrenheit(20.0)
COOLING_PER_MINUTE = 0.05


def minutes_until(start, end, room):
    return math.log((start - room) / (end - room)) / COOLING_PER_MINUTE
'''

COOLING_SETUP = f"""\
from setuptools import setup

setup(
    name="orq-example-cooling",
    version="{VERSION}",
    py_modules=["example_cooling"],
    install_requires=["orq-example-scales>=1"],
)
"""


def metadata(name: str) -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {VERSION}\n"


def make_wheel(folder: Path) -> Path:
    """The wheel of `orq-example-scales`: pure Python, for every interpreter."""
    info = f"orq_example_scales-{VERSION}.dist-info"
    files = {
        "example_scales.py": SCALES,
        f"{info}/METADATA": metadata("orq-example-scales"),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{name},{digest(text)},{len(text.encode())}\n" for name, text in files.items()]
    files[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"])
    path = folder / f"orq_example_scales-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # which dates every file 1980-01-01
    return path


def digest(text: str) -> str:
    value = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return "sha256=" + value.rstrip(b"=").decode()


def make_sdist(folder: Path) -> Path:
    """The source distribution of `orq-example-cooling`: setuptools builds it."""
    root = f"orq-example-cooling-{VERSION}"
    files = {
        f"{root}/PKG-INFO": metadata("orq-example-cooling"),
        f"{root}/setup.py": COOLING_SETUP,
        f"{root}/example_cooling.py": COOLING,
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    path = folder / f"orq_example_cooling-{VERSION}.tar.gz"
    # stored, not compressed: libraries differ in how they compress
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 0, file, mtime=0) as packed:
        packed.write(archive.getvalue())
    return path


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "vendor"
    target.mkdir(exist_ok=True)
    for made in (make_wheel(target), make_sdist(target)):
        print(made.name)
