"""`make` makes .venv, and mends it, whatever was done to it; from outside, as a person runs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
OUTER_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"}  # set where make runs the tests
MISSING = "raise ModuleNotFoundError(__name__)\n"


class Fresh:
    """A checkout with no more than it takes to make its environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "tools").mkdir()
        for name in ("Makefile", "pyproject.toml", "tools/environment.py"):
            shutil.copy(CHECKOUT / name, folder / name)

    @property
    def environment(self) -> Path:
        return self.folder / ".venv"

    def make(
        self, *options: str, python: str = sys.executable, **env: str
    ) -> subprocess.CompletedProcess[str]:
        command = ["make", *options, f"PYTHON={python}", ".venv/bin/python"]
        return subprocess.run(
            command,
            cwd=self.folder,
            env={name: os.environ[name] for name in os.environ.keys() - OUTER_MAKE} | env,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def works(self) -> bool:
        pip = subprocess.run(
            [self.environment / "bin" / "pip", "--version"], capture_output=True, check=False
        )
        return pip.returncode == 0 and str(self.folder).encode() in pip.stdout


@pytest.fixture
def fresh(tmp_path: Path) -> Fresh:
    return Fresh(tmp_path / "checkout")


def shadow(tmp_path: Path, module: str, text: str) -> str:
    """Return a folder whose module stands before Python's own."""
    (tmp_path / f"{module}.py").write_text(text)
    return str(tmp_path)


def test_a_python_without_ensurepip_is_told_the_one_command_and_leaves_nothing(
    fresh: Fresh, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "apt-get").write_text("#!/bin/sh\n")
    (tools / "apt-get").chmod(0o755)
    without = shadow(tmp_path, "ensurepip", MISSING)
    made = fresh.make(PYTHONPATH=without, PATH=f"{tools}:{os.environ['PATH']}")
    assert made.returncode != 0
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert f"apt-get install {package}\n" in made.stderr
    assert "Traceback" not in made.stderr
    assert not fresh.environment.exists()


@pytest.mark.parametrize(("minor", "told"), [(10, "3.10"), (15, "3.15")])
def test_a_python_that_is_not_supported_is_told_so(
    fresh: Fresh, tmp_path: Path, minor: int, told: str
) -> None:
    other = f"import sys\nsys.version_info = (3, {minor}, 0, 'final', 0)\n"
    made = fresh.make(PYTHONPATH=shadow(tmp_path, "sitecustomize", other))
    assert made.returncode != 0
    assert f"Hookline needs Python 3.11 to 3.14; {sys.executable} is {told}." in made.stderr
    assert not fresh.environment.exists()


def test_a_folder_that_may_not_be_written_to_is_told_so(fresh: Fresh, tmp_path: Path) -> None:
    nothing = "import os\nos.access = lambda *_, **__: False\n"
    made = fresh.make(PYTHONPATH=shadow(tmp_path, "sitecustomize", nothing))
    assert made.returncode != 0
    assert f"This user may not write to {fresh.folder}. Run make as its owner" in made.stderr
    assert not fresh.environment.exists()


def test_a_machine_without_python_is_told_so(fresh: Fresh) -> None:
    made = fresh.make(python="python-of-no-machine")
    assert made.returncode != 0
    assert "There is no python-of-no-machine." in made.stderr


def test_a_venv_that_fails_leaves_nothing(fresh: Fresh, tmp_path: Path) -> None:
    fails = "if __name__ == '__main__':\n    raise SystemExit(3)\n"
    made = fresh.make(PYTHONPATH=shadow(tmp_path, "venv", fails))
    assert made.returncode != 0
    assert not fresh.environment.exists()


def test_an_environment_is_kept_while_it_works_and_made_again_after_a_killed_install(
    fresh: Fresh,
) -> None:
    assert fresh.make().returncode == 0
    assert fresh.works()
    assert fresh.make("--dry-run").stdout.strip().endswith("is up to date.")
    (fresh.environment / "unfinished").touch()
    assert "making it again" in fresh.make("--dry-run").stdout
    assert not fresh.environment.exists()


@pytest.mark.parametrize("damage", ["no pip", "no python", "moved", "nothing in it"])
def test_what_is_left_of_an_environment_is_cleared_away(fresh: Fresh, damage: str) -> None:
    programs = fresh.environment / "bin"
    programs.mkdir(parents=True)
    match damage:
        case "no pip":
            (programs / "python").symlink_to(shutil.which("false") or "/bin/false")
        case "no python":
            (programs / "python").symlink_to("/nowhere/python3")
        case "moved":
            (programs / "python").symlink_to(sys.executable)
            (programs / "pip").write_text("#!/elsewhere/.venv/bin/python\n")
        case _:
            programs.rmdir()
    assert "making it again" in fresh.make("--dry-run").stdout
    assert not fresh.environment.exists()


INSTALL = """
import sys
import install
install.TOLD_EVERY, install.PATIENCE = 0.05, float(sys.argv[1])
sys.exit(install.main("the console's packages", *sys.argv[2:]))
"""
PACKAGE = "npm http fetch GET 200 https://registry.example/a/-/a-1.tgz 9ms (cache miss)"


def installed(folder: Path, script: str, patience: float = 60) -> subprocess.CompletedProcess[str]:
    """Run tools/install.py with a shell's script for the installer."""
    (folder / "package-lock.json").write_text('{"packages": {"": {}, "a": {}, "b": {}}}')
    return subprocess.run(
        [sys.executable, "-c", INSTALL, str(patience), "sh", "-c", script],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT / "tools")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (
            "npm error code SELF_SIGNED_CERT_IN_CHAIN",
            "the registry's certificate is not trusted here",
        ),
        ("npm error code ENOTFOUND", "the registry can't be reached"),
        ("pip: ReadTimeoutError(...)", "the registry can't be reached"),
        ("OSError: [Errno 28] No space left on device", "there is no space left on the disk"),
        ("something else", "what the installer said is above"),
    ],
)
def test_an_installation_that_fails_is_told_why(tmp_path: Path, printed: str, told: str) -> None:
    failed = installed(tmp_path, f"echo '{PACKAGE}'; echo '{printed}'; exit 7")
    assert failed.returncode == 7
    assert printed in failed.stdout
    assert PACKAGE not in failed.stdout
    assert f"NOT installed: the console's packages: {told}" in failed.stdout


def test_an_installation_without_answers_is_ended_after_its_progress_was_told(
    tmp_path: Path,
) -> None:
    stalled = installed(tmp_path, f"echo '{PACKAGE}'; exec sleep 1000", patience=0.2)
    assert stalled.returncode == 1
    assert "  … the console's packages: 1 of some 2 packages, 0 s\n" in stalled.stdout
    assert "nothing came from the registry" in stalled.stdout


def test_the_supported_versions_are_the_same_wherever_they_stand() -> None:
    project = (CHECKOUT / "pyproject.toml").read_text()
    readme = (CHECKOUT / "README.md").read_text()
    versions = ["3.11", "3.12", "3.13", "3.14"]
    assert f'requires-python = ">={versions[0]},<3.15"' in project
    assert [
        v for v in versions if f'"Programming Language :: Python :: {v}"' in project
    ] == versions
    assert f"| Python | {', '.join(versions)} |" in readme
    assert f"You need Python {versions[0]} to {versions[-1]}," in readme
