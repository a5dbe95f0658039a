// What the book says of Quartz (docs/en/from-quartz.md), asked of it: Quartz 2.3.2. A sentence that does not hold ends the program.
//
//   java -cp '/usr/share/java/quartz2.jar:/usr/share/java/slf4j-api.jar:/usr/share/java/slf4j-nop.jar' tests/migration/Quartz.java

import java.text.SimpleDateFormat;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Properties;
import java.util.TimeZone;
import java.util.concurrent.atomic.AtomicInteger;

import org.quartz.*;
import org.quartz.impl.StdSchedulerFactory;

public class Quartz {
    // page: begin
    @DisallowConcurrentExecution
    public static class Report implements Job {
        @Override
        public void execute(JobExecutionContext context) throws JobExecutionException {
            String recipient = context.getMergedJobDataMap().getString("recipient");
            System.out.println("to " + recipient + ", for " + context.getScheduledFireTime());
        }
    }

    static Scheduler start() throws SchedulerException {
        Scheduler scheduler = StdSchedulerFactory.getDefaultScheduler();
        JobDetail report = JobBuilder.newJob(Report.class)
            .withIdentity("report")
            .usingJobData("recipient", "ada@example.org")
            .build();
        Trigger weekdays = TriggerBuilder.newTrigger()
            .withSchedule(CronScheduleBuilder.cronSchedule("0 30 9 ? * MON-FRI")
                .inTimeZone(TimeZone.getTimeZone("Asia/Shanghai"))
                .withMisfireHandlingInstructionFireAndProceed())
            .build();
        scheduler.scheduleJob(report, weekdays);
        scheduler.start();
        return scheduler;
    }
    // page: end

    static void says(String sentence, boolean holds) {
        if (!holds) throw new AssertionError("not so: " + sentence);
        System.out.println("so it is: " + sentence);
    }

    static List<ZonedDateTime> upcoming(String expression, String zone, String after, int count) throws Exception {
        CronExpression cron = new CronExpression(expression);
        cron.setTimeZone(TimeZone.getTimeZone(zone));
        Date at = Date.from(Instant.parse(after));
        List<ZonedDateTime> instants = new ArrayList<>();
        while (instants.size() < count) {
            at = cron.getNextValidTimeAfter(at);
            if (at == null) break;
            instants.add(at.toInstant().atZone(ZoneId.of(zone)));
        }
        return instants;
    }

    static boolean isRefused(String expression) {
        return !CronExpression.isValidExpression(expression);
    }

    static void expressions() throws Exception {
        String newYear = "2026-01-01T00:00:00Z", newYork = "America/New_York";
        says("1 is Sunday", upcoming("0 0 12 ? * 1", "UTC", newYear, 1).get(0).getDayOfWeek().getValue() == 7);
        says("7 is Saturday", upcoming("0 0 12 ? * 7", "UTC", newYear, 1).get(0).getDayOfWeek().getValue() == 6);
        says("0 is refused", isRefused("0 0 12 ? * 0"));
        says("five fields are refused", isRefused("30 9 * * ?"));
        says("a year may follow", !isRefused("0 30 9 * * ? 2030"));
        says("one of the day fields has to be ?", isRefused("0 0 12 13 * FRI") && isRefused("0 0 12 * * *"));
        says("6L is the last Friday, 6#2 the second", upcoming("0 0 12 ? * 6L", "UTC", newYear, 1).get(0).getDayOfMonth() == 30
            && upcoming("0 0 12 ? * 6#2", "UTC", newYear, 1).get(0).getDayOfMonth() == 9);
        says("an L alone as day of week is Saturday", upcoming("0 0 12 ? * L", "UTC", newYear, 1).get(0).getDayOfWeek().getValue() == 6);
        says("the zone is that of the machine unless it is set", new CronExpression("0 0 12 * * ?").getTimeZone().equals(TimeZone.getDefault()));
        says("a 30th of February is accepted, and never fires", !isRefused("0 0 12 30 2 ?") && upcoming("0 0 12 30 2 ?", "UTC", newYear, 1).isEmpty());
        List<ZonedDateTime> spring = upcoming("0 30 2 * * ?", newYork, "2026-03-07T12:00:00Z", 1);
        says("a time in the gap does not run that day", spring.get(0).getDayOfMonth() == 9);
        List<ZonedDateTime> autumn = upcoming("0 30 1 * * ?", newYork, "2026-10-31T12:00:00Z", 2);
        says("a time that repeats runs once, in the second pass", autumn.get(0).toInstant().equals(Instant.parse("2026-11-01T06:30:00Z")) && autumn.get(1).getDayOfMonth() == 2);
        List<ZonedDateTime> halves = upcoming("0 0/30 * * * ?", newYork, "2026-11-01T05:00:00Z", 1);
        says("in the repeated hour instants are left out", halves.get(0).toInstant().equals(Instant.parse("2026-11-01T06:30:00Z")));
    }

    static void sleep(int millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    public static class Slow implements Job {
        static final AtomicInteger now = new AtomicInteger(), peak = new AtomicInteger();

        public void execute(JobExecutionContext context) {
            peak.accumulateAndGet(now.incrementAndGet(), Math::max);
            sleep(2_500);
            now.decrementAndGet();
        }
    }

    @DisallowConcurrentExecution
    public static class Single implements Job {
        static final AtomicInteger now = new AtomicInteger(), peak = new AtomicInteger();
        static final List<Long> due = new ArrayList<>();

        public void execute(JobExecutionContext context) {
            due.add(context.getScheduledFireTime().getTime());
            peak.accumulateAndGet(now.incrementAndGet(), Math::max);
            sleep(2_500);
            now.decrementAndGet();
        }
    }

    public static class Fails implements Job {
        static final List<Long> due = new ArrayList<>();

        public void execute(JobExecutionContext context) throws JobExecutionException {
            due.add(context.getScheduledFireTime().getTime());
            throw new JobExecutionException("as it happens");
        }
    }

    static void defaults() {
        CronTrigger trigger = TriggerBuilder.newTrigger().withSchedule(CronScheduleBuilder.cronSchedule("0 0 12 * * ?")).build();
        says("the priority is 5 unless it is set", trigger.getPriority() == 5);
        SimpleTrigger often = TriggerBuilder.newTrigger().startAt(new Date(0))
            .withSchedule(SimpleScheduleBuilder.simpleSchedule().withIntervalInMilliseconds(1).repeatForever()).build();
        says("a simple trigger fires each millisecond if it is told to", often.getFireTimeAfter(new Date(7)).getTime() == 8);
        trigger = TriggerBuilder.newTrigger().withSchedule(CronScheduleBuilder.cronSchedule("* * * * * ?")).startAt(new Date(0)).build();
        org.quartz.impl.triggers.CronTriggerImpl missed = (org.quartz.impl.triggers.CronTriggerImpl) trigger;
        missed.setNextFireTime(new Date(0));
        missed.updateAfterMisfire(null);
        says("what was missed runs once, now, unless it is said otherwise", Math.abs(missed.getNextFireTime().getTime() - System.currentTimeMillis()) < 1_000);
    }

    static void running() throws Exception {
        Properties properties = new Properties();
        properties.put("org.quartz.threadPool.class", "org.quartz.simpl.SimpleThreadPool");
        properties.put("org.quartz.threadPool.threadCount", "10");
        Scheduler scheduler = new StdSchedulerFactory(properties).getScheduler();
        CronScheduleBuilder everySecond = CronScheduleBuilder.cronSchedule("* * * * * ?");
        for (Class<? extends Job> job : List.of(Slow.class, Single.class, Fails.class)) {
            scheduler.scheduleJob(JobBuilder.newJob(job).build(), TriggerBuilder.newTrigger().withSchedule(everySecond).build());
        }
        scheduler.start();
        sleep(7_000);
        says("a job that still runs when it is due again runs beside itself", Slow.peak.get() > 1);
        says("with @DisallowConcurrentExecution it waits, and runs late", Single.peak.get() == 1
            && Single.due.size() > 1 && Single.due.get(1) - Single.due.get(0) == 1_000);
        says("a job that fails is not tried again", Fails.due.size() == Fails.due.stream().distinct().count());
        int before = Slow.now.get();
        scheduler.shutdown(false);
        says("shutdown() does not wait for what runs", before > 0 && Slow.now.get() > 0);
        sleep(3_000);
    }

    public static void main(String[] arguments) throws Exception {
        expressions();
        defaults();
        running();
    }
}
