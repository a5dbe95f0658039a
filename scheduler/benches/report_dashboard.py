"""The part of the report about the dashboard beside a store: `report --only dashboard`."""

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import report_stores
from report_figures import number, table

ROOT = Path(__file__).resolve().parents[2]
TASKS = 5_000
# Each task has run before the pages are asked for.
EVERY_MS = 20_000
PAGES = ("tasks", "timeline", "runs", "api/tasks")
TRIES = 9
IS_UP_WITHIN = 60


def dashboard(options):
    programs = ["--bin", "symphra", "--bin", "node-fixture"]
    build = ["cargo", "build", "--release", "--locked", "-p", "symphra-scheduler", "-p", "symphra-scheduler-tests", "--all-features", *programs]
    subprocess.run(build, cwd=ROOT, check=True)
    metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"]
    target = json.loads(subprocess.run(metadata, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)["target_directory"]
    release = Path(target) / "release"
    tasks = TASKS // 5 if options.quick else TASKS
    print(f"## The dashboard on its own beside a store with {tasks:,} tasks, ms until a page is there\n", flush=True)
    kept = {}
    with tempfile.TemporaryDirectory(prefix="symphra-bench-") as folder, report_stores.postgres() as server, \
            report_stores.redis() as other, report_stores.rabbitmq() as broker:
        places = {"sqlite": f"sqlite://{folder}/store.db", "postgres": server, "redis": other, "rabbitmq": broker}
        for store, place in places.items():
            with node(release / "node-fixture", place, tasks, Path(folder) / store):
                kept[store] = asked(release / "symphra", place)
    options.kept["dashboard"] = kept
    table(["store", *(f"`{page}`" for page in PAGES)], [
        [store, *(f"{number(statistics.median(times))} ({number(min(times))} to {number(max(times))})" for times in pages.values())]
        for store, pages in kept.items()])


@contextlib.contextmanager
def node(program, place, tasks, diary):
    """A scheduler whose tasks have all run once."""
    words = [f"task=t{task:05},every={EVERY_MS}" for task in range(tasks)]
    command = [program, f"url={place}", "namespace=bench", "node=a", f"file={diary}", "workers=256", "grace=60000", "keep=20", *words]
    with open(f"{diary}.log", "wb") as log:
        running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    try:
        if running.stdout.readline().strip() != b"up":
            raise RuntimeError(f"the node did not start: {Path(f'{diary}.log').read_text()[-2000:]}")
        until = time.monotonic() + EVERY_MS / 1e3 + IS_UP_WITHIN
        while not diary.exists() or diary.read_bytes().count(b"\n") < 2 * tasks:
            if time.monotonic() > until:
                raise RuntimeError("the tasks have not all run")
            time.sleep(1)
        yield
    finally:
        running.terminate()
        running.wait()


def asked(program, place):
    command = [program, "dashboard", "--url", place, "--namespace", "bench", "--listen", "127.0.0.1:0", "--json"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"NO_COLOR": "1"})
    try:
        told = b""
        while not told.endswith(b"}\n") and (line := running.stdout.readline()):
            told += line
        address = json.loads(told)["url"]
        return {page: [milliseconds(f"{address.rstrip('/')}/{page}") for _ in range(TRIES + 1)][1:] for page in PAGES}
    finally:
        running.terminate()
        running.wait()


def milliseconds(address):
    began = time.monotonic()
    with urllib.request.urlopen(address, timeout=60) as answer:
        answer.read()
    return (time.monotonic() - began) * 1e3
