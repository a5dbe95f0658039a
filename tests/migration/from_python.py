"""What the book says of the Python ancestor (docs/en/from-python.md), asked of it: symphra-scheduler 1.0.2.

A sentence that does not hold ends the program.
"""

# page: begin
import asyncio
from symphra_scheduler import RetryPolicy, Scheduler, SchedulerConfig, cron, interval

@interval(10, name="health_check", tags=["monitoring"])
async def health_check():
    print("ok")

@cron("0 30 9 * * 1-5", timeout=30.0, retry_policy=RetryPolicy(max_attempts=5))
async def report():
    print("report")

async def main():
    scheduler = Scheduler(SchedulerConfig(max_workers=20, timezone="Asia/Shanghai"))
    await scheduler.start()
# page: end

import importlib.metadata
import logging
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from symphra_scheduler import Task
from symphra_scheduler.backends import SQLiteBackend
from symphra_scheduler.decorators import set_global_scheduler
from symphra_scheduler.logging import NoOpAdapter
from symphra_scheduler.task import ScheduleType, TaskConfig


def says(sentence, holds):
    assert holds, f"not so: {sentence}"
    print(f"so it is: {sentence}")


def task(name, func, **options):
    options.setdefault("retry_policy", RetryPolicy.no_retry())
    return Task(func, TaskConfig(name=name, schedule_type=ScheduleType.INTERVAL, interval_seconds=1, **options))


def scheduler(**config):
    return Scheduler(SchedulerConfig(**config), logger=NoOpAdapter(), use_global_scheduler=False)


async def for_seconds(runs, seconds):
    running = asyncio.create_task(runs.start())
    await asyncio.sleep(seconds)
    await runs.stop()
    await running


def expressions():
    def upcoming(expression, zone, after, count=1):
        config = TaskConfig(name="x", schedule_type=ScheduleType.CRON, cron_expression=expression)
        instants = []
        for _ in range(count):
            after = config.get_next_run_time(after=after, use_timezone=zone)
            instants.append(after)
        return instants if count > 1 else instants[0]

    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    says("six fields begin with the second", upcoming("5 0 12 * * *", "UTC", new_year).second == 5)
    says("five fields begin with the minute", upcoming("30 9 * * *", "UTC", new_year).minute == 30)
    says("0 and 7 are Sunday", all(upcoming(f"0 0 12 * * {day}", "UTC", new_year).isoweekday() == 7 for day in "07"))
    both = upcoming("0 0 12 13 * 5", "UTC", new_year, 3)
    says("of both day fields either is enough", {at.isoweekday() == 5 for at in both} == {True, False})
    new_york = ZoneInfo("America/New_York")
    autumn = upcoming("0 30 1 * * *", "America/New_York", datetime(2026, 10, 31, 12, tzinfo=new_york), 2)
    says("a time that repeats runs twice", [at.day for at in autumn] == [1, 1])


async def zones():
    shanghai = scheduler(timezone="Asia/Shanghai")
    morning = TaskConfig(name="x", schedule_type=ScheduleType.CRON, cron_expression="0 30 9 * * *")
    shanghai.register_task(Task(health_check, morning))
    first = shanghai._task_next_run_times["x"].astimezone(UTC)
    says("the first run is at the time of UTC, whatever the zone", (first.hour, first.minute) == (9, 30))


async def failures():
    attempts = []

    async def fails():
        attempts.append(time.monotonic())
        raise ValueError("as it happens")

    broken = Task(fails, TaskConfig(name="x", schedule_type=ScheduleType.INTERVAL, interval_seconds=60))
    try:
        await broken.execute()
    except ValueError:
        pass
    says("a task without a policy has three attempts", len(attempts) == 3)

    slow = []

    async def takes_long():
        slow.append(1)
        await asyncio.sleep(0.4)
        raise ValueError("as it happens")

    policy = RetryPolicy(max_attempts=5, strategy="fixed", wait_min=0)
    timed = Task(takes_long, TaskConfig(name="y", schedule_type=ScheduleType.INTERVAL, interval_seconds=60, timeout=1.0, retry_policy=policy))
    try:
        await timed.execute()
    except TimeoutError:
        pass
    says("the timeout is for all attempts together", len(slow) == 3)


async def overlap():
    began = []

    async def slow():
        began.append(1)
        await asyncio.sleep(3)

    runs = scheduler()
    slow_task = task("slow", slow)
    runs.register_task(slow_task)
    await for_seconds(runs, 5.5)
    says("an occurrence of a task that still runs does not run", len(began) <= 2)
    says("and nothing tells of it", slow_task.metrics.total_runs <= len(began))


async def late():
    delays = []

    async def tick():
        delays.append(time.time())

    runs = scheduler()
    every = task("tick", tick)
    runs.register_task(every)
    due = runs._task_next_run_times["tick"].timestamp()
    await asyncio.sleep(0.4)  # so that it is not due just when it looks
    await for_seconds(runs, 6)
    latest = max(at - (due + number) for number, at in enumerate(delays))
    print(f"of {len(delays)} runs the latest began {latest * 1000:.0f} ms after it was due")
    says("it looks once a second for what is due, so that runs may begin as late", latest > 0.3)


async def asleep():
    began = []

    async def tick():
        began.append(1)

    runs = scheduler()
    runs.register_task(task("tick", tick))
    running = asyncio.create_task(runs.start())
    await asyncio.sleep(2.5)
    before = len(began)
    time.sleep(4)  # as a machine that sleeps
    await asyncio.sleep(6.5)
    says("what was missed is made up for, one after the other", len(began) - before >= 6)
    await runs.stop()
    await running


async def stopping():
    ended = []

    async def long():
        await asyncio.sleep(2)
        ended.append(1)

    runs = scheduler()
    runs.register_task(task("long", long))
    await for_seconds(runs, 2.5)
    says("a stop cancels what runs, and waits for it to have been", not ended)


async def nodes():
    began = []

    async def once():
        began.append(1)

    with tempfile.TemporaryDirectory() as folder:
        both = []
        for name in ("first", "second"):
            node = Scheduler(SchedulerConfig(), backend=SQLiteBackend(db_path=f"{folder}/x.db"), logger=NoOpAdapter(), use_global_scheduler=False)
            config = TaskConfig(name="x", schedule_type=ScheduleType.INTERVAL, interval_seconds=3, retry_policy=RetryPolicy.no_retry())
            node.register_task(Task(once, config))
            both.append(for_seconds(node, 5.5))
        await asyncio.gather(*both)
    says("two nodes on one store run an occurrence twice or more", len(began) >= 2)


def settings():
    os.environ["SCHEDULER_MAX_WORKERS"] = "20"
    says("SCHEDULER_MAX_WORKERS says nothing to it", SchedulerConfig().max_workers == 10)
    os.environ["SYMPHRA_SCHEDULER_MAX_WORKERS"] = "20"
    says("SYMPHRA_SCHEDULER_MAX_WORKERS does", SchedulerConfig().max_workers == 20)
    del os.environ["SYMPHRA_SCHEDULER_MAX_WORKERS"]


def names():
    set_global_scheduler(None, clear_pending=True)
    ran = []

    @interval(1, name="same")
    async def first():
        ran.append("first")

    @interval(1, name="same")
    async def second():
        ran.append("second")

    both = Scheduler(SchedulerConfig(), logger=NoOpAdapter())
    says("of two tasks of one name the second is left out without a word", both.get_task("same").func.__name__ == "first")
    set_global_scheduler(None, clear_pending=True)


async def all_of_it():
    says("it is the version that the page names", importlib.metadata.version("symphra-scheduler") == "1.0.2")
    settings()
    names()
    expressions()
    await zones()
    await failures()
    await overlap()
    await late()
    await asleep()
    await stopping()
    await nodes()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(all_of_it())
