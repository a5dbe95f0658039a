"""The part of the report about durable stores: `report --only stores`."""

import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from report_figures import middle, number, table

STORES = Path(__file__).resolve().parent / "stores"
RUNS = 10_000
# apalis-sqlite drains a few hundred a second, graphile_worker without its queue some tens; the worker of apalis-redis ends where
# 10,000 wait.
RUNS_OF = {("sqlite", "apalis"): 2_000, ("redis", "apalis"): 2_000, ("postgres", "graphile"): 500}
CONTENDERS = {
    "sqlite": ("symphra-calls", "symphra-fires", "symphra-16", "symphra-1", "bare", "bare-batched", "apalis"),
    "postgres": ("symphra-calls", "symphra-fires", "symphra-16", "symphra-1", "bare", "bare-batched", "apalis",
                 "graphile", "graphile-batched"),
    "redis": ("symphra-calls", "symphra-fires", "symphra-16", "symphra-1", "bare", "bare-batched", "apalis"),
    "rabbitmq": ("symphra-calls", "symphra-fires", "symphra-16", "symphra-1", "bare", "bare-batched"),
}
PEERS = ("apalis", "graphile", "graphile-batched")
NODES = (1, 2, 4, 8)
PUNCTUAL_SECONDS = 60
SERVER_STARTS_WITHIN = 60


def stores(options):
    """Builds the bench, starts a server of its own, and prints tables."""
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=STORES, check=True)
    metadata = subprocess.run(["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"], cwd=STORES,
                              check=True, stdout=subprocess.PIPE).stdout
    release = Path(json.loads(metadata)["target_directory"]) / "release"
    binary = release / "symphra-scheduler-stores"
    runs = RUNS // 5 if options.quick else RUNS
    with tempfile.TemporaryDirectory(prefix="symphra-bench-") as folder, postgres() as server, \
            redis() as other, rabbitmq() as broker:
        places = {"sqlite": f"sqlite://{folder}", "postgres": server, "redis": other, "rabbitmq": broker}
        for store, place in places.items():
            life(release, options, store, place, runs)
        punctual(binary, options, {"memory": "memory", **places})
        nodes(binary, options, places)


def measure(binary, options, *words):
    # At real-time priority only where the report was asked for it: the server has the usual one all the same.
    command = [*(["chrt", "--rr", "10"] if options.real_time else []), str(binary), *map(str, words)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout.splitlines()[-1])


def life(release, options, store, place, runs):
    """Rounds in which the contenders take turns, then one in which statements and commits are counted."""
    contenders = CONTENDERS[store]
    rounds = {name: [] for name in contenders}

    def once(name, *more):
        count = min(runs, RUNS_OF.get((store, name), runs))
        words = ["--measure", "life", "--contender", name, "--url", place, "--runs", count]
        # The peers are a program of their own, which names no measurement.
        if name in PEERS:
            return measure(release / "peers", options, *words[2:], *more)
        return measure(release / "symphra-scheduler-stores", options, *words, *more)

    for _ in range(options.rounds):
        for name in contenders:
            rounds[name].append(once(name))
    counted = {name: once(name, "--counted", "true") for name in contenders}
    options.kept.setdefault("life", {})[store] = {"rounds": rounds, "counted": counted}
    print(f"## The whole life of {runs:,} runs: {store}\n")
    rows = []
    for name in contenders:
        def ratio(base, name=name):
            pairs = zip(rounds[name], rounds.get(base, []))
            return middle([ours["runs_per_s"] / theirs["runs_per_s"] for ours, theirs in pairs])

        figures = [[line[key] for line in rounds[name] if key in line]
                   for key in ("enqueued_per_s", "drained_per_s", "runs_per_s")]
        rows.append([name, *(middle(figure) for figure in figures), ratio("bare"), ratio("bare-batched"), ratio("apalis"),
                     *(number(counted[name].get(key)) for key in ("statements_per_run", "commits_per_run"))])
    table(["contender", "enqueued a second", "executed a second", "whole life a second", "÷ bare", "÷ bare-batched",
           "÷ apalis", "statements a run", "commits a run"], rows)


def punctual(binary, options, places):
    seconds = 5 if options.quick else PUNCTUAL_SECONDS
    print(f"## 100 tasks of one second, for {seconds} s\n")
    lines = [measure(binary, options, "--measure", "punctual", "--url", place, "--seconds", seconds)
             for place in places.values()]
    options.kept["punctual"] = lines
    table(["store", "fired", "within 0 to 50 ms", "p50 ms", "p99 ms", "max ms"], [
        [line["store"], f"{line['fired']:,} of {line['expected']:,}", f"{line['punctual']:,}",
         *(number(line.get(key)) for key in ("p50_ms", "p99_ms", "max_ms"))] for line in lines])


def nodes(binary, options, places):
    print("## Several nodes on one store, each a process: what they do together, as a share of one\n")
    rows = []
    for store, place in places.items():
        for work in ("fire", "drain"):
            rounds = []
            for _ in range(options.rounds):
                words = ["--measure", "nodes", "--work", work, "--url", place]
                rounds.append([measure(binary, options, *words, "--nodes", count)["runs_per_s"] for count in NODES])
            options.kept.setdefault("nodes", {}).setdefault(store, {})[work] = rounds
            shares = [middle([round[place] / round[0] for round in rounds]) for place in range(1, len(NODES))]
            rows.append([store, work, middle([round[0] for round in rounds]), *shares])
    table(["store", "work", "one node, runs a second", *(f"{count} nodes" for count in NODES[1:])], rows)


@contextlib.contextmanager
def postgres():
    """A server of its own, with its defaults (`fsync` on), that counts statements."""
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="symphra-bench-postgres-"))
    # PostgreSQL refuses to run as root.
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "nobody", "nogroup")
    server = None
    try:
        with open(folder / "log", "wb") as log:
            subprocess.run([program("initdb"), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale",
                            "-D", folder / "data"], check=True, stdout=log, stderr=log, cwd=folder, **user)
            server = subprocess.Popen(
                [program("postgres"), "-D", folder / "data", "-p", str(port), "-c", "listen_addresses=127.0.0.1",
                 "-c", f"unix_socket_directories={folder}", "-c", "max_connections=200",
                 "-c", "shared_preload_libraries=pg_stat_statements"], stdout=log, stderr=log, cwd=folder, **user)
        until = time.monotonic() + SERVER_STARTS_WITHIN
        while subprocess.run([program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode != 0:
            if time.monotonic() > until or server.poll() is not None:
                raise RuntimeError(f"PostgreSQL does not answer: {(folder / 'log').read_text()}")
            time.sleep(0.1)
        yield f"postgres://postgres@127.0.0.1:{port}/postgres"
    finally:
        if server:
            server.send_signal(signal.SIGINT)
            server.wait()
        shutil.rmtree(folder)


@contextlib.contextmanager
def redis():
    """A server of its own that keeps all it has answered (`appendfsync always`)."""
    port = free_port()
    if not shutil.which("redis-server"):
        raise RuntimeError("redis-server is not there; install the package redis-server")
    with tempfile.TemporaryDirectory(prefix="symphra-bench-redis-") as folder:
        server = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "",
             "--appendonly", "yes", "--appendfsync", "always"], stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + SERVER_STARTS_WITHIN
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(64).startswith(b"+PONG"):
                        break
                if time.monotonic() > until or server.poll() is not None:
                    raise RuntimeError("Redis does not answer")
                time.sleep(0.1)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait()


@contextlib.contextmanager
def rabbitmq():
    """A server of its own, with its defaults but for the plugins, of which it has none."""
    folder = Path(tempfile.mkdtemp(prefix="symphra-bench-rabbitmq-"))
    (folder / "plugins").write_text("[].\n")
    ports = [free_port() for _ in range(3)]
    # What Debian has in the path wants a user of its own.
    of_debian = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    server = of_debian if of_debian.exists() else shutil.which("rabbitmq-server")
    if not server:
        raise RuntimeError("rabbitmq-server is not there; install the package rabbitmq-server")
    names = {"HOME": ".", "RABBITMQ_MNESIA_BASE": "mnesia", "RABBITMQ_LOG_BASE": "logs", "RABBITMQ_QUORUM_DIR": "quorum",
             "RABBITMQ_CONFIG_FILE": "none", "RABBITMQ_ADVANCED_CONFIG_FILE": "none", "RABBITMQ_CONF_ENV_FILE": "none",
             "RABBITMQ_GENERATED_CONFIG_DIR": "generated", "RABBITMQ_SCHEMA_DIR": "schema",
             "RABBITMQ_ENABLED_PLUGINS_FILE": "plugins", "RABBITMQ_PID_FILE": "pid"}
    surroundings = {name: str(folder / place) for name, place in names.items()}
    surroundings |= {"RABBITMQ_NODENAME": f"bench{ports[0]}@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
                     "RABBITMQ_NODE_PORT": str(ports[0]), "RABBITMQ_DIST_PORT": str(ports[1]),
                     "ERL_EPMD_PORT": str(ports[2]), "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_LOGS": "-",
                     "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"}
    with open(folder / "log", "wb") as log:
        running = subprocess.Popen([server], cwd=folder, env=os.environ | surroundings, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + SERVER_STARTS_WITHIN
        while not speaks_amqp(ports[0]):
            if time.monotonic() > until or running.poll() is not None:
                raise RuntimeError(f"RabbitMQ does not answer: {(folder / 'log').read_text()}")
            time.sleep(0.1)
        yield f"amqp://127.0.0.1:{ports[0]}/%2f"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        subprocess.run(["epmd", "-port", str(ports[2]), "-kill"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def speaks_amqp(port):
    """Whatever version it is asked for, a server says that it speaks AMQP."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as probe:
        probe.settimeout(5)
        probe.sendall(b"AMQP\x00\x00\x09\x01")
        return len(probe.recv(8)) == 8
    return False


def program(name):
    """Where Debian has it, or in the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    path = found[0] if found else shutil.which(name)
    if not path:
        raise RuntimeError(f"{name} is not there; install the package postgresql")
    return path
