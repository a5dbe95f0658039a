"""What `firing.rs` measures, for schedulers of Python: N tasks that are due at every full second, and bodies that record when they
start. Prints one line of JSON, of the same shape. `firing.py NAME TASKS SECONDS`."""

import asyncio
import json
import resource
import sys
import time

WARM_UP_SECONDS = 2


class Recorder:
    def __init__(self):
        self.lateness = []
        self.window = (0, 0)

    def started(self):
        now = time.time()
        if self.window[0] <= int(now) < self.window[1]:
            self.lateness.append((now - int(now)) * 1e3)


def apscheduler(tasks, recorder):
    """The scheduler that its documentation advises for asyncio; a late firing is fired all the same, and none is merged."""
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    async def body():
        recorder.started()

    scheduler = AsyncIOScheduler(job_defaults={"misfire_grace_time": None, "coalesce": False, "max_instances": 1_000})
    for _ in range(tasks):
        scheduler.add_job(body, "cron", second="*")
    scheduler.start()
    return scheduler


def symphra_python(tasks, recorder):
    """The ancestor, with workers and queue raised as the number of tasks needs, and without its log."""
    from symphra_scheduler import Scheduler, SchedulerConfig, cron

    config = SchedulerConfig(max_workers=max(10, min(tasks, 1_000)), queue_size=max(1_000, 2 * tasks), enable_logging=False)
    scheduler = Scheduler(config)
    for number in range(tasks):

        @cron("* * * * * *", name=f"second-{number}")
        async def body():
            recorder.started()

    return asyncio.ensure_future(scheduler.start()), scheduler


CONTENDERS = {"apscheduler": apscheduler, "symphra-python": symphra_python}


async def measure(name, tasks, seconds):
    recorder = Recorder()
    began = time.perf_counter()
    alive = CONTENDERS[name](tasks, recorder)
    set_up = time.perf_counter() - began
    first = int(time.time()) + WARM_UP_SECONDS + 1
    recorder.window = (first, first + seconds)
    await asyncio.sleep(first - 0.05 - time.time())
    before = time.process_time()
    await asyncio.sleep(first + seconds - 0.05 - time.time())
    spent = time.process_time() - before
    await asyncio.sleep(0.15)
    del alive
    late = sorted(recorder.lateness)
    line = {
        "program": "firing", "workload": "seconds", "contender": name, "tasks": tasks, "seconds": seconds,
        "set_up_ms": set_up * 1e3, "expected": tasks * seconds, "fired": len(late),
        "resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if late:
        at = {share: late[min(int(len(late) * share), len(late) - 1)] for share in (0.5, 0.99)}
        line |= {"p50_ms": at[0.5], "p99_ms": at[0.99], "max_ms": late[-1], "cpu_us_per_firing": spent * 1e6 / len(late)}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
    # Neither has to end well: what is measured is over.
    sys.stdout.flush()
