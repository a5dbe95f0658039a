"""What the book says of Celery beat (docs/en/from-celery-beat.md), asked of it: Celery 5.7.0.

A sentence that does not hold ends the program.
"""

# page: begin
from celery import Celery
from celery.schedules import crontab

app = Celery("shop", broker="redis://localhost:6379/0")
app.conf.timezone = "Asia/Shanghai"
app.conf.beat_schedule = {
    "health_check": {"task": "shop.health_check", "schedule": 10.0},
    "report": {
        "task": "shop.report",
        "schedule": crontab(hour=9, minute=30, day_of_week="mon-fri"),
        "args": ("ada@example.org",),
    },
}


@app.task(name="shop.health_check")
def health_check():
    print("ok")


@app.task(name="shop.report", bind=True, max_retries=4, soft_time_limit=30)
def report(self, recipient):
    try:
        print("to", recipient)
    except OSError as error:
        raise self.retry(exc=error, countdown=2)
# page: end


from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import celery
from celery.beat import ScheduleEntry
from celery.schedules import ParseException, schedule


def says(sentence, holds):
    assert holds, f"not so: {sentence}"
    print(f"so it is: {sentence}")


def upcoming(zone, after, count=1, **fields):
    local = Celery("local")
    local.conf.timezone = zone
    now = [after.astimezone(ZoneInfo(zone))]
    expression = crontab(app=local, nowfun=lambda: now[0], **fields)
    instants = []
    for _ in range(count):
        now[0] = (now[0].astimezone(UTC) + expression.remaining_estimate(now[0])).astimezone(ZoneInfo(zone))
        instants.append(now[0])
    return instants


def expressions():
    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    says("0 is Sunday", upcoming("UTC", new_year, minute=0, hour=12, day_of_week=0)[0].isoweekday() == 7)
    try:
        crontab(day_of_week=7)
        refused = False
    except (ParseException, ValueError):
        refused = True
    says("7 is refused", refused)
    both = upcoming("UTC", new_year, 2, minute=0, hour=12, day_of_month=13, day_of_week=5)
    says("both day fields have to match", all(at.day == 13 and at.isoweekday() == 5 for at in both))
    nine = upcoming("UTC", new_year, 2, hour=9)
    says("crontab(hour=9) runs each minute of that hour", nine[1] - nine[0] == timedelta(minutes=1))
    autumn = upcoming("America/New_York", datetime(2026, 10, 31, 20, tzinfo=UTC), 2, minute=30, hour=1)
    says("a time that repeats runs once", [at.day for at in autumn] == [1, 2])
    spring = upcoming("America/New_York", datetime(2026, 3, 7, 20, tzinfo=UTC), 1, minute=30, hour=2)[0]
    says("a time in the gap runs an hour after it", (spring.day, spring.hour, spring.minute) == (8, 3, 30))
    halves = upcoming("America/New_York", datetime(2026, 11, 1, 4, 45, tzinfo=UTC), 3, minute="*/30")
    says("each half hour is left out in the repeated hour", halves[2].astimezone(UTC) - halves[1].astimezone(UTC) == timedelta(minutes=90))


def lateness():
    now = datetime(2026, 1, 10, 15, tzinfo=UTC)
    daily = crontab(app=app, nowfun=lambda: now, minute=0, hour=12)
    late = ScheduleEntry(name="x", task="x", schedule=daily, last_run_at=now - timedelta(days=4), app=app)
    says("what was missed while beat was away is sent once", late.is_due().is_due)
    after = ScheduleEntry(name="x", task="x", schedule=daily, last_run_at=now, app=app)
    says("and then not again", not after.is_due().is_due)
    ten = schedule(run_every=10, app=app, nowfun=lambda: now)
    says("an interval counts from when it was last sent", ten.is_due(now - timedelta(seconds=35)).next == 10)


def defaults():
    says("a task is retried only where it says so, three times, three minutes apart", (app.Task.max_retries, app.Task.default_retry_delay) == (3, 180))
    says("a message is acknowledged before its task has run", app.conf.task_acks_late is False)
    says("beat keeps what it has sent in a file of its own", app.conf.beat_schedule_filename == "celerybeat-schedule")
    says("the zone is UTC unless it is set", Celery("plain").timezone.key == "UTC")


if __name__ == "__main__":
    says("it is the version that the page names", celery.__version__ == "5.7.0")
    expressions()
    lateness()
    defaults()
