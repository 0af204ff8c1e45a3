"""The Java client: openapi-generator from the Maven registry, and what its client runs with."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

from apitools.commands import GenerationFailed, kept, run
from apitools.places import DOCUMENT, HERE, JARS

_FOLDER: Final = HERE / "java"
_LOCK: Final = _FOLDER / "jars.sha256"
_CONFIG: Final = _FOLDER / "client.yaml"
_COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_PROGRAMS: Final = ("java", "javac", "mvn")
_SHORT_LIVED: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")  # half the CPU time
_DOWNLOAD: Final = 600.0  # seconds: 34 MB, over a slow line


def missing() -> list[str]:
    """Return the programs that the Java client needs and this machine does not have."""
    return [program for program in _PROGRAMS if shutil.which(program) is None]


def install() -> None:
    """Download the jars of pom.xml and hold each to its checksum in jars.sha256."""
    shutil.rmtree(JARS, ignore_errors=True)
    where = (f"-DoutputDirectory={JARS}", "--file", _FOLDER / "pom.xml")
    run("mvn", "--quiet", "--batch-mode", _COPY, *where, patience=_DOWNLOAD)
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in JARS.iterdir()}
    if found != _locked():
        shutil.rmtree(JARS)
        wrong = sorted(name for name, _ in found.items() ^ _locked().items())
        raise GenerationFailed(f"These jars differ from {_LOCK.name}: {', '.join(wrong)}")


def openapi_generator(config: Path, folder: Path, document: Path) -> None:
    """Generate a client with openapi-generator, as a configuration of it says."""
    [jar] = JARS.glob("openapi-generator-cli-*.jar") if JARS.exists() else [None]
    if jar is None:
        raise GenerationFailed("openapi-generator is not installed; run: make .venv/java")
    options = ("--input-spec", document, "--config", config, "--output", folder)
    run("java", *_SHORT_LIVED, "-jar", jar, "generate", *options)


def generate_java(folder: Path, document: Path = DOCUMENT) -> None:
    """Generate the Java sources, below `folder/src`, and compile them into `folder/classes`."""
    openapi_generator(_CONFIG, folder, document)
    sources = sorted((folder / "src" / "main" / "java").rglob("*.java"))
    compile_java(folder / "classes", *sources)


def compile_java(classes: Path, *sources: Path, using: Path | None = None) -> None:
    """Compile sources against the jars, and against the classes of `using`."""
    flags = [f"-J{flag}" for flag in _SHORT_LIVED]
    options = ("-proc:none", "-nowarn", "-d", classes, "-classpath", _classpath(using))
    run("javac", *flags, *options, *sources)


def java_command(classes: Path, name: str, *, using: Path) -> list[str]:
    """Return the command that runs a class."""
    path = os.pathsep.join((str(classes), _classpath(using)))
    return ["java", *_SHORT_LIVED, "-classpath", path, name]


def java_client() -> Path:
    """Return the folder with the compiled client of the committed document."""
    return kept("java", (DOCUMENT, _CONFIG, _LOCK), generate_java)


def _classpath(using: Path | None) -> str:
    own = () if using is None else (str(using),)
    return os.pathsep.join((*own, str(JARS / "*")))


def _locked() -> dict[str, str]:
    lines = _LOCK.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}
