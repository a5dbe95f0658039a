"""The part of the report about compiling: `report --only build`."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from report_figures import spread, table

ROOT = Path(__file__).resolve().parents[2]
# Each is a program of one dependency with its default features, as a newcomer begins.
PROGRAMS = {
    "symphra-scheduler": f'symphra-scheduler = {{ path = "{ROOT / "scheduler"}" }}\n',
    "tokio-cron-scheduler": 'tokio-cron-scheduler = "=0.15.1"\n',
    "apalis with apalis-cron": 'apalis = "=1.0.0"\napalis-cron = "=1.0.0"\n',
}
# How many functions have the attribute, or have it not.
ATTRIBUTES = 1_000
TRIES = 3


def build(_binaries, options):
    from_lock = ROOT / "Cargo.lock"
    print("## Building: a clean release build of a program with default features\n")
    kept = {}
    with tempfile.TemporaryDirectory(prefix="symphra-bench-build-") as folder:
        for name, dependencies in PROGRAMS.items():
            project = Path(folder) / name.replace(" ", "-")
            write(project, dependencies, "fn main() {}\n")
            if name == "symphra-scheduler":
                shutil.copy(from_lock, project / "Cargo.lock")
            if not can_be_had(project):
                continue
            kept[name] = {"crates": crates(project), "seconds": [clean_build(project) for _ in range(options.rounds)]}
        kept["attribute"] = {way: cost_of_attribute(Path(folder), way) for way in ("check", "build")}
    options.kept["build"] = kept
    programs = [name for name in PROGRAMS if name in kept]
    table(["program of", "crates", "clean release build, s"], [
        [name, str(kept[name]["crates"]), spread(kept[name]["seconds"])] for name in programs])
    print(f"One attribute, as the difference between {ATTRIBUTES:,} functions with and without, built anew with everything else"
          f" built: {kept['attribute']['check']:.2f} ms of `cargo check`, {kept['attribute']['build']:.2f} ms of `cargo build`.\n")


def write(project, dependencies, program):
    (project / "src").mkdir(parents=True, exist_ok=True)
    (project / "Cargo.toml").write_text(
        '[package]\nname = "program"\nversion = "0.0.0"\nedition = "2024"\n\n[workspace]\n\n[dependencies]\n'
        + dependencies)
    (project / "src" / "main.rs").write_text(program)


def can_be_had(project):
    return subprocess.run(["cargo", "fetch", "--quiet"], cwd=project).returncode == 0


def crates(project):
    tree = ["cargo", "tree", "--edges", "normal,build", "--prefix", "none"]
    lines = subprocess.run(tree, cwd=project, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    # The program itself is none of them.
    return len({line.split()[0] for line in lines if line} - {"program"})


def clean_build(project):
    shutil.rmtree(project / "target", ignore_errors=True)
    began = time.monotonic()
    cargo(project, "build", "--release")
    return time.monotonic() - began


def cargo(project, *words):
    surroundings = os.environ | {"CARGO_TARGET_DIR": str(project / "target"), "CARGO_INCREMENTAL": "0"}
    subprocess.run(["cargo", *words, "--quiet"], cwd=project, check=True, env=surroundings)


def cost_of_attribute(folder, way):
    """Milliseconds of one, the least of some tries: what disturbs makes both longer, and never shorter."""
    project = folder / "attributes"
    least = {}
    for has_attribute in (True, False):
        functions = (f'{attribute(number) if has_attribute else ""}pub async fn task_{number}() {{}}\n' for number in range(ATTRIBUTES))
        write(project, PROGRAMS["symphra-scheduler"], "".join(functions) + "fn main() {}\n")
        shutil.copy(ROOT / "Cargo.lock", project / "Cargo.lock")
        taken = []
        for _ in range(TRIES):
            (project / "src" / "main.rs").touch()
            began = time.monotonic()
            cargo(project, way)
            taken.append(time.monotonic() - began)
        # The first has built what both depend on.
        least[has_attribute] = min(taken[1:])
    return (least[True] - least[False]) * 1e3 / ATTRIBUTES


def attribute(number):
    return f'#[symphra_scheduler::interval(seconds = {1 + number % 60}, name = "task-{number}")]\n'
