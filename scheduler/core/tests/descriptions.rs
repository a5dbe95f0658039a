//! What expressions are called in words: a table for both languages, and that nothing is left out.

use symphra_scheduler_core::{CronExpr, Language};

fn read(text: &str) -> CronExpr {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// Expression, English, Chinese.
const TABLE: &[(&str, &str, &str)] = &[
    ("* * * * * *", "every second", "每秒"),
    ("*/10 * * * * *", "every 10 seconds", "每 10 秒"),
    ("5/15 * * * * *", "every 15 seconds from second 5", "从第 5 秒起每 15 秒"),
    ("7,9 * * * * *", "at seconds 7 and 9 of every minute", "每分钟第 7 和 9 秒"),
    ("* 5 * * * *", "every second in minute 5 of every hour", "每小时第 5 分内每秒"),
    ("* 1-5 9-17 * * *", "every second in minutes 1 to 5 of hours 9 to 17", "9 至 17 点的第 1 至 5 分内每秒"),
    (
        "*/10 */5 9,11,13 * * *",
        "every 10 seconds in every 5th minute of hours 9, 11 and 13",
        "9、11 和 13 点的第 0、5、10、15、20、25、30、35、40、45、50 和 55 分内每 10 秒",
    ),
    ("* * * * *", "every minute", "每分钟"),
    ("*/5 * * * *", "every 5 minutes", "每 5 分钟"),
    ("3/5 * * * *", "every 5 minutes from minute 3", "从第 3 分起每 5 分钟"),
    (
        "*/7 * * * *",
        "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour",
        "每小时第 0、7、14、21、28、35、42、49 和 56 分",
    ),
    ("0 * * * *", "every hour", "每小时"),
    ("30 * * * *", "at minute 30 of every hour", "每小时第 30 分"),
    ("0 */6 * * *", "every 6 hours", "每 6 小时"),
    ("30 1/2 * * *", "every 2 hours from 01:30", "从 01:30 起每 2 小时"),
    ("*/5 9-17 * * *", "every 5 minutes from 09:00 to 17:59", "09:00 至 17:59 之间每 5 分钟"),
    ("*/5 22-2 * * *", "every 5 minutes from 22:00 to 02:59", "22:00 至 02:59 之间每 5 分钟"),
    (
        "*/5 22-2 * * FRI",
        "every 5 minutes in hours 0 to 2, 22 and 23 on Friday",
        "每周五 0 至 2、22 和 23 点内每 5 分钟",
    ),
    ("15 9-17 * * *", "at minute 15 of hours 9 to 17", "9 至 17 点的第 15 分"),
    (
        "0,30 9-17 * * MON-FRI",
        "every 30 minutes from 09:00 to 17:59, Monday to Friday",
        "每周一至周五 09:00 至 17:59 之间每 30 分钟",
    ),
    ("30 9 * * MON-FRI", "at 09:30, Monday to Friday", "每周一至周五 09:30"),
    ("15 0 9 * * *", "at 09:00:15 every day", "每天 09:00:15"),
    ("0 9,12 * * *", "at 09:00 and 12:00 every day", "每天 09:00 和 12:00"),
    ("0 0,6,12,18 * * *", "at 00:00, 06:00, 12:00 and 18:00 every day", "每天 00:00、06:00、12:00 和 18:00"),
    ("*/5 */2 * * *", "every 5 minutes in every 2nd hour", "0、2、4、6、8、10、12、14、16、18、20 和 22 点内每 5 分钟"),
    ("0 0 0 13 * 5", "at 00:00 on the 13th of the month and on Friday", "每月 13 日以及每周五 00:00"),
    ("0 0 0 13 * +5", "at 00:00 on the 13th of the month when it is a Friday", "每月 13 日且为周五时 00:00"),
    (
        "0 0 0 13 * +MON-FRI",
        "at 00:00 on the 13th of the month when it is Monday to Friday",
        "每月 13 日且为周一至周五时 00:00",
    ),
    (
        "0 0 0 13,14 * +1,3",
        "at 00:00 on the 13th and the 14th of the month when it is a Monday or a Wednesday",
        "每月 13 日和 14 日且为周一或周三时 00:00",
    ),
    ("0 0 * * 0", "at 00:00 on Sunday", "每周日 00:00"),
    ("0 9 L * *", "at 09:00 on the last day of the month", "每月最后一天 09:00"),
    ("0 9 L-1 * *", "at 09:00 on the day before the last day of the month", "每月最后一天的前 1 天 09:00"),
    ("0 9 L-3 * *", "at 09:00 on the day 3 days before the last day of the month", "每月最后一天的前 3 天 09:00"),
    ("0 9 15W * *", "at 09:00 on the weekday nearest the 15th of the month", "每月离 15 日最近的工作日 09:00"),
    ("0 9 LW * *", "at 09:00 on the last weekday of the month", "每月最后一个工作日 09:00"),
    (
        "0 9 1,15,L * *",
        "at 09:00 on the 1st, the 15th and the last day of the month",
        "每月 1 日、15 日和最后一天 09:00",
    ),
    (
        "0 9 1-7 * 1#1,5L,3",
        "at 09:00 on the 1st to the 7th of the month and on Wednesday, the first Monday of the month and the last Friday of the month",
        "每月 1 至 7 日以及每周三、每月第一个周一和每月最后一个周五 09:00",
    ),
    ("0 9 * * 5#2", "at 09:00 on the second Friday of the month", "每月第二个周五 09:00"),
    ("0 9 * * 5L", "at 09:00 on the last Friday of the month", "每月最后一个周五 09:00"),
    ("0 9 * 2 5L", "at 09:00 on the last Friday of the month in February", "2 月的最后一个周五 09:00"),
    ("0 9 * * SAT,SUN", "at 09:00 on Saturday and Sunday", "每周六和每周日 09:00"),
    ("0 9 * * FRI-MON", "at 09:00, Friday to Monday", "每周五至周一 09:00"),
    ("0 9 * 1,7 *", "at 09:00 every day in January and July", "1 月和 7 月每天 09:00"),
    ("0 9 * 6-8 *", "at 09:00 every day from June to August", "6 月至 8 月每天 09:00"),
    ("0 9 * 11-2 *", "at 09:00 every day from November to February", "11 月至次年 2 月每天 09:00"),
    (
        "*/5 8 * JAN SUN",
        "every 5 minutes from 08:00 to 08:59 on Sunday in January",
        "1 月的每周日 08:00 至 08:59 之间每 5 分钟",
    ),
    (
        "0 0 9 1 1 * 2026",
        "at 09:00 on the 1st of the month in January, only in 2026",
        "仅在 2026 年，1 月的 1 日 09:00",
    ),
    ("0 0 9 * * * 2026-2030", "at 09:00 every day, only in 2026 to 2030", "仅在 2026 年至 2030 年，每天 09:00"),
    (
        "0 0 0 30 2 *",
        "at 00:00 on the 30th of the month in February (there is no such date: never)",
        "2 月的 30 日 00:00（没有这样的日期，永不触发）",
    ),
    ("@hourly", "every hour", "每小时"),
    ("@monthly", "at 00:00 on the 1st of the month", "每月 1 日 00:00"),
];

#[test]
fn expressions_are_described_in_both_languages() {
    for &(text, english, chinese) in TABLE {
        assert_eq!(read(text).describe(), english, "{text}");
        assert_eq!(read(text).describe_in(Language::Chinese), chinese, "{text}");
    }
}
