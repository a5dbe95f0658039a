"""What the book says of APScheduler (docs/en/from-apscheduler.md), asked of it: APScheduler 3.11.3.

A sentence that does not hold ends the program.
"""

# page: begin
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger


async def health_check():
    print("ok")


async def report(recipient):
    print("to", recipient)


def start():
    scheduler = AsyncIOScheduler(timezone=ZoneInfo("Asia/Shanghai"))
    scheduler.add_job(health_check, "interval", seconds=10, id="health_check")
    scheduler.add_job(
        report,
        CronTrigger(day_of_week="mon-fri", hour=9, minute=30),
        args=["ada@example.org"],
        id="report",
        max_instances=1,
        coalesce=True,
        misfire_grace_time=3600,
    )
    scheduler.start()
    return scheduler
# page: end


import asyncio
import logging
import time
from datetime import UTC, datetime

import apscheduler
from apscheduler.triggers.interval import IntervalTrigger
from tzlocal import get_localzone


def says(sentence, holds):
    assert holds, f"not so: {sentence}"
    print(f"so it is: {sentence}")


def upcoming(trigger, now, count=3):
    instants, before = [], None
    while len(instants) < count:
        before = now = trigger.get_next_fire_time(before, now)
        instants.append(now)
    return instants


def expressions():
    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    crontab = lambda text, zone="UTC": CronTrigger.from_crontab(text, timezone=zone)
    says("0 is Monday, also in a crontab", upcoming(crontab("0 12 * * 0"), new_year)[0].isoweekday() == 1)
    says("1 is Tuesday", upcoming(crontab("0 12 * * 1"), new_year)[0].isoweekday() == 2)
    for text in ("0 12 * * 7", "0 0 12 * * *"):
        try:
            crontab(text)
            refused = False
        except ValueError:
            refused = True
        says(f"{text!r} is refused", refused)
    both = upcoming(crontab("0 12 13 * fri"), new_year)
    says("both day fields have to match", all(at.day == 13 and at.isoweekday() == 5 for at in both))
    quarters = upcoming(IntervalTrigger(seconds=0.25, start_date=new_year, timezone="UTC"), new_year)
    says("an interval may be a part of a second", [at.microsecond for at in quarters] == [0, 250_000, 500_000])
    says("the zone is that of the machine unless it is set", str(CronTrigger(hour=1).timezone) == str(get_localzone()))
    new_york = ZoneInfo("America/New_York")
    spring = upcoming(CronTrigger(hour=2, minute=30, timezone=new_york), datetime(2026, 3, 7, 12, tzinfo=UTC), 1)[0]
    says("a time in the gap runs an hour after the change", spring.astimezone(UTC) == datetime(2026, 3, 8, 7, 30, tzinfo=UTC))
    autumn = upcoming(CronTrigger(hour=1, minute=30, timezone=new_york), datetime(2026, 10, 31, 12, tzinfo=UTC))
    says("a time that repeats runs twice", [at.day for at in autumn] == [1, 1, 2])


async def running():
    began = {"slow": 0, "fails": 0}

    async def slow():
        began["slow"] += 1
        await asyncio.sleep(2.5)

    async def fails():
        began["fails"] += 1
        raise ValueError("as it happens")

    scheduler = AsyncIOScheduler(timezone="UTC")
    slow_job = scheduler.add_job(slow, "interval", seconds=1)
    scheduler.add_job(fails, "interval", seconds=1)
    scheduler.start()
    says("one instance, coalesced, a second of grace are the defaults", (slow_job.max_instances, slow_job.coalesce, slow_job.misfire_grace_time) == (1, True, 1))
    await asyncio.sleep(4.2)
    says("a job that still runs when it is due again is skipped", began["slow"] == 2)
    says("a job that fails is not tried again", began["fails"] in (4, 5))

    ticks = []

    async def tick():
        ticks.append(time.monotonic())

    scheduler.add_job(tick, "interval", seconds=1)
    await asyncio.sleep(1.5)
    before = len(ticks)
    time.sleep(4)  # as a machine that sleeps
    await asyncio.sleep(0.3)
    says("of what was missed one run is made up for, if it is within the grace", len(ticks) - before <= 1)
    cut = []

    async def long():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cut.append(1)
            raise

    scheduler.add_job(long)
    await asyncio.sleep(0.5)
    scheduler.shutdown(wait=True)
    await asyncio.sleep(0.5)
    says("shutdown cancels an async job that runs", cut == [1])


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    says("it is the version that the page names", apscheduler.version == "3.11.3")
    expressions()
    asyncio.run(running())
