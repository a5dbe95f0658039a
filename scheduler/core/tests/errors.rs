//! What a wrong expression is answered with: a line that can be acted on.

use symphra_scheduler_core::{CronExpr, CronField, EXPRESSION_BYTES_MAX};

/// Expression, field, wrong part, and what the message must say.
const TABLE: &[(&str, Option<CronField>, &str, &str)] = &[
    ("", None, "", "is empty; write 5 (minute hour day-of-month month day-of-week), 6 (second first) or 7 (year last)"),
    ("* *", None, "* *", "has 2 fields; write 5"),
    ("* * * * * * * *", None, "* * * * * * * *", "has 8 fields"),
    (
        "0 0 25 * * *",
        Some(CronField::Hour),
        "25",
        "hour field: 25 is out of range; allowed 0-23 (in \"0 0 25 * * *\", character 5)",
    ),
    ("60 * * * *", Some(CronField::Minute), "60", "allowed 0-59"),
    ("60 * * * * *", Some(CronField::Second), "60", "second field: 60 is out of range"),
    ("* * 0 * *", Some(CronField::DayOfMonth), "0", "allowed 1-31"),
    ("* * * 13 *", Some(CronField::Month), "13", "allowed 1-12 or JAN-DEC"),
    ("* * * * 8", Some(CronField::DayOfWeek), "8", "allowed 0-7 (0 and 7 are Sunday) or SUN-SAT"),
    ("* * * * * * 2101", Some(CronField::Year), "2101", "allowed 1970-2100"),
    ("99999999999999999999 * * * *", Some(CronField::Minute), "99999999999999999999", "out of range"),
    ("* * * * MONN", Some(CronField::DayOfWeek), "MONN", "did you mean MON?"),
    ("* * * * MONDAY", Some(CronField::DayOfWeek), "MONDAY", "did you mean MON?"),
    ("* * * JNA *", Some(CronField::Month), "JNA", "did you mean JAN?"),
    ("* * * QQQ *", Some(CronField::Month), "QQQ", "unknown name QQQ; allowed 1-12 or JAN-DEC"),
    ("* * * * L", Some(CronField::DayOfWeek), "L", "write 5L for the last Friday"),
    ("* * W * *", Some(CronField::DayOfMonth), "W", "write 15W"),
    ("* * 5L * *", Some(CronField::DayOfMonth), "5L", "write L for the last day"),
    ("* * 5#2 * *", Some(CronField::DayOfMonth), "5#2", "counts days of the week"),
    ("* * * * 15W", Some(CronField::DayOfWeek), "15W", "of a day of month"),
    ("L * * * *", Some(CronField::Minute), "L", "in the day fields only"),
    ("* * 1-5W * *", Some(CronField::DayOfMonth), "1-5W", "mixes L, W or # with a range or a step"),
    ("* * 15W/2 * *", Some(CronField::DayOfMonth), "15W/2", "mixes"),
    ("* * * * 5L-6", Some(CronField::DayOfWeek), "5L-6", "mixes"),
    ("* * * * 1-5#2", Some(CronField::DayOfWeek), "1-5#2", "mixes"),
    ("* * * * 5#6", Some(CronField::DayOfWeek), "6", "allowed 1-5"),
    ("* * * * 5#", Some(CronField::DayOfWeek), "", "missing after #"),
    ("* * L-31 * *", Some(CronField::DayOfMonth), "31", "allowed L-0 to L-30"),
    ("* * 32W * *", Some(CronField::DayOfMonth), "32", "allowed 1-31"),
    ("* * L-x * *", Some(CronField::DayOfMonth), "L-x", "write L-3"),
    ("*/0 * * * *", Some(CronField::Minute), "0", "never advances"),
    (
        "*/90 * * * *",
        Some(CronField::Minute),
        "90",
        "allowed 1-60 (a step counts within one field; for every 90 minutes",
    ),
    ("* * * * */8", Some(CronField::DayOfWeek), "8", "allowed 1-7"),
    ("*/x * * * *", Some(CronField::Minute), "x", "must be a number"),
    ("*/ * * * *", Some(CronField::Minute), "", "must be a number"),
    ("5/2/3 * * * *", Some(CronField::Minute), "2/3", "must be a number"),
    ("1,,2 * * * *", Some(CronField::Minute), "", "missing beside a comma"),
    ("1, * * * *", Some(CronField::Minute), "", "missing beside a comma"),
    ("1- * * * *", Some(CronField::Minute), "1-", "not a whole range"),
    ("* * * * MON-", Some(CronField::DayOfWeek), "MON-", "as in MON-FRI"),
    ("-5 * * * *", Some(CronField::Minute), "-5", "negative"),
    ("1-2-3 * * * *", Some(CronField::Minute), "2-3", "is not a value"),
    ("** * * * *", Some(CronField::Minute), "**", "is not a value"),
    ("* * * * * * 2030-2026", Some(CronField::Year), "2030-2026", "write 2026-2030"),
    ("* * * * +", Some(CronField::DayOfWeek), "", "nothing follows the +"),
    ("* * * * ++5", Some(CronField::DayOfWeek), "+5", "stands once"),
    ("* +5 * * *", Some(CronField::Hour), "+5", "before the day-of-week field"),
    ("@dayly", None, "@dayly", "did you mean @daily?"),
    ("@every 5m", None, "@every 5m", "interval task"),
    ("@reboot", None, "@reboot", "run_on_start"),
    ("@", None, "@", "allowed are @yearly"),
    ("é * * * *", Some(CronField::Minute), "é", "\"é\" is not a value"),
    ("* é * * *", Some(CronField::Hour), "é", "character 3"),
    ("* * * * \0", Some(CronField::DayOfWeek), "\0", "\"\\0\" is not a value"),
    ("* * * * 월요일", Some(CronField::DayOfWeek), "월요일", "unknown name"),
];

#[test]
fn every_fault_names_field_value_and_fix() {
    for &(text, field, value, says) in TABLE {
        let error = text.parse::<CronExpr>().expect_err(text);
        assert_eq!((error.field(), error.value()), (field, value), "{text}: {error}");
        assert_eq!(&error.expression()[error.position()], value, "{text}");
        assert_eq!(error.expression(), text);
        let message = error.to_string();
        assert!(message.contains(says), "{text}: {message}");
        assert!(!message.contains('\n') && !message.contains('\0'), "{text}: {message}");
    }
}

#[test]
fn an_expression_that_is_too_long_is_refused_with_its_beginning() {
    let text = "é".repeat(EXPRESSION_BYTES_MAX);
    let error = text.parse::<CronExpr>().expect_err("too long");
    assert_eq!(error.to_string().split(';').next(), Some("cron expression has 4096 bytes"));
    assert_eq!(error.expression().len(), EXPRESSION_BYTES_MAX);
    assert!(error.to_string().len() < 300);
}

#[test]
fn space_around_and_between_fields_does_not_count() {
    let plain: CronExpr = "1 2 3 4 5".parse().expect("an expression");
    assert_eq!(" \t1  2\n3 4\r\n5 ".parse(), Ok(plain));
    assert_eq!(" @DAILY ".parse::<CronExpr>(), "0 0 * * *".parse());
}
