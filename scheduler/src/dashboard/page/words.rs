//! Every word that the pages say, in English and in Chinese, side by side: a word that one language lacks does not
//! compile. What a program wrote itself, such as the name of a task or an error, is shown as it is.

use std::fmt::Display;

/// A language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dashboard) enum Language {
    English,
    Chinese,
}

impl Language {
    /// The one that was chosen on a page (`en` or `zh`, kept in a cookie); else the first that the browser asks for and
    /// that there is; else English.
    pub(in crate::dashboard) fn chosen(cookie: Option<&str>, accept: Option<&str>) -> Self {
        let of = |tag: &str| match tag.trim().to_ascii_lowercase() {
            tag if tag.starts_with("zh") => Some(Self::Chinese),
            tag if tag.starts_with("en") => Some(Self::English),
            _ => None,
        };
        (cookie.and_then(of)).or_else(|| accept?.split(',').find_map(of)).unwrap_or(Self::English)
    }

    /// As `lang` names it, and as the cookie keeps it.
    pub(in crate::dashboard) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }
}

/// Declares the words once, with both languages in one line.
macro_rules! words {
    ($($name:ident: $english:literal, $chinese:literal;)+) => {
        /// The words of one language.
        #[derive(Debug)]
        pub(super) struct Words { $(pub(super) $name: &'static str,)+ }
        static ENGLISH: Words = Words { $($name: $english,)+ };
        static CHINESE: Words = Words { $($name: $chinese,)+ };
        #[cfg(test)]
        const BOTH: &[(&str, &str, &str)] = &[$((stringify!($name), $english, $chinese),)+];
    };
}

words! {
    product: "Symphra Scheduler", "Symphra 调度器";
    skip: "Skip to the content", "跳到正文";
    sections: "Sections", "栏目";
    tasks: "Tasks", "任务";
    timeline: "Timeline", "时间线";
    runs: "Runs", "运行";
    nodes: "Nodes", "节点";
    dead: "Dead letters", "死信";
    actions: "Actions", "操作记录";
    sign_in: "Sign in", "登录";
    sign_out: "Sign out", "退出登录";
    token: "Token", "令牌";
    token_hint: "This dashboard asks for a token. It stands in no address and is kept by no page.", "本仪表盘需要令牌。令牌不会出现在网址中，也不会保存在页面里。";
    token_wrong: "That is not the token of this dashboard.", "令牌不正确。";
    read_only: "read only", "只读";
    live: "live", "实时";
    not_live: "not connected", "未连接";
    problem: "This cannot be shown", "无法显示";
    problem_hint: "Back to the tasks", "返回任务列表";
    search: "Search", "搜索";
    search_hint: "name, tag or schedule", "名称、标签或计划";
    status: "Status", "状态";
    tag: "Tag", "标签";
    tags: "Tags", "标签";
    any: "any", "不限";
    filter: "Filter", "筛选";
    clear: "Clear", "清除";
    nothing_found: "No task is like that.", "没有符合条件的任务。";
    no_tasks: "There are no tasks.", "没有任务。";
    previous_page: "Previous page", "上一页";
    next_page: "Next page", "下一页";
    page: "Page", "页码";
    name: "Name", "名称";
    task: "Task", "任务";
    schedule: "Schedule", "计划";
    next: "Next", "下次";
    source: "Declared at", "声明位置";
    priority: "Priority", "优先级";
    succeeded_runs: "succeeded", "成功";
    failed_runs: "failed", "失败";
    never: "never", "从不";
    paused_by: "Paused by", "暂停者";
    since: "since", "自";
    reason: "Reason", "原因";
    next_five: "Next occurrences", "接下来的触发";
    no_next: "Nothing is to come.", "之后没有触发。";
    ledger: "All occurrences so far", "迄今的全部触发";
    occurrences: "occurrences", "次触发";
    all_occurrences: "occurrences", "触发次数";
    none_yet: "none yet", "尚无";
    became_runs: "became runs", "已成为运行";
    recorded: "did not run, with a reason on record", "未运行，原因已记录";
    history: "Latest runs at a glance", "最近运行一览";
    durations: "Duration", "耗时";
    lateness: "Lateness", "延迟";
    longest: "longest", "最长";
    median: "median", "中位数";
    no_history: "No run has ended yet.", "还没有结束的运行。";
    records: "Why occurrences did not run", "触发未运行的原因";
    no_records: "Every occurrence so far became a run.", "至今每次触发都成为了运行。";
    first: "First", "首次";
    last: "Last", "末次";
    count: "How many", "次数";
    note: "Note", "备注";
    latest_runs: "Latest runs", "最近的运行";
    all_runs: "All runs of this task", "该任务的全部运行";
    no_runs: "There are no runs like that.", "没有符合条件的运行。";
    older: "Older runs", "更早的运行";
    newest_runs: "Newest runs", "最新的运行";
    trigger: "Run now", "立即运行";
    trigger_hint: "Adds one run; the schedule stays as it is.", "增加一次运行，计划不变。";
    pause: "Pause", "暂停";
    pause_all: "Pause all tasks", "暂停全部任务";
    pause_reason: "Reason for the pause", "暂停原因";
    resume: "Resume", "恢复";
    resume_all: "Resume all tasks", "恢复全部任务";
    sure_pause_all: "Yes, pause all of them", "确认，全部暂停";
    pause_all_hint: "No occurrence of any task becomes a run until all are resumed.", "在全部恢复之前，任何任务的触发都不会成为运行。";
    explain: "Explain an instant", "解释某一时刻";
    explain_hint: "Why did it run, or not run, at this instant?", "它在这一时刻为什么运行了，或没有运行？";
    instant: "Instant", "时刻";
    instant_hint: "such as 2026-12-31T09:00:00; without an offset it is in the zone of the task", "例如 2026-12-31T09:00:00；不带时差时按任务的时区";
    neighbours: "Its neighbours", "相邻的触发";
    backfill: "Backfill", "补跑";
    backfill_hint: "Runs the occurrences of a range that have no successful run, oldest first, one after another.", "按先后顺序逐个补跑这一区间内没有成功运行的触发。";
    from: "From", "从";
    to: "To", "到";
    rerun: "also those that succeeded", "包括已成功的";
    preview: "Preview", "预览";
    would_run: "would run", "次将会运行";
    left_out: "beyond the most that one backfill runs", "次超出一次补跑的上限";
    begin_backfill: "Begin this backfill", "开始补跑";
    nothing_to_backfill: "There is nothing to run in this range.", "这一区间内没有要补跑的触发。";
    timeline_title: "The next 24 hours", "接下来的 24 小时";
    timeline_hint: "Each row is a task, each mark what falls due within a quarter of an hour; higher marks are more occurrences. Hours are UTC.", "每行是一个任务，每个标记是一刻钟内到期的触发，标记越高次数越多。时间为 UTC。";
    together: "Tasks that start in the same minute", "在同一分钟开始的任务";
    at_most_together: "at most", "最多";
    tasks_in_a_minute: "tasks in one minute", "个任务在同一分钟";
    no_collisions: "No two tasks fall due in the same minute.", "没有两个任务在同一分钟到期。";
    all_the_time: "all the time", "持续触发";
    about_every: "about every", "约每";
    not_in_a_day: "Not within 24 hours", "24 小时内没有触发";
    none_in_a_day: "Nothing falls due within 24 hours.", "24 小时内没有触发。";
    minute: "Minute (UTC)", "分钟（UTC）";
    state: "State", "状态";
    scheduled: "Scheduled", "计划时刻";
    due: "Due", "到期时刻";
    started: "Started", "开始";
    ended: "Ended", "结束";
    duration: "Duration", "耗时";
    attempt: "Attempt", "尝试";
    origin: "Origin", "来源";
    error: "Error", "错误";
    run: "Run", "运行";
    stands_for: "Stands also for missed occurrences", "同时代表错过的触发";
    log: "What it wrote", "运行日志";
    no_log: "It wrote nothing that is kept.", "没有保留的日志。";
    cut: "Cut: the text is longer than what is shown.", "已截断：全文比显示的更长。";
    cancel: "Cancel this run", "取消该运行";
    sure_cancel: "Yes, cancel it", "确认取消";
    cancel_hint: "It ends at its next await, and is not tried again.", "它会在下一个等待点结束，不再重试。";
    health: "Health", "健康";
    well: "All is well.", "一切正常。";
    not_well: "Not all is well.", "存在问题。";
    not_alive: "The timer does not advance.", "定时器没有推进。";
    no_program: "No program runs on this store: nothing fires until one does.", "没有程序在此存储上运行：在有程序运行之前不会触发任何任务。";
    not_ready: "The store does not answer", "存储没有响应";
    lease_lost: "This node has lost its lease.", "本节点已失去租约。";
    clock_off: "The clock of this node is off by (ms)", "本节点时钟偏差（毫秒）";
    clock_repeats: "The clock was set back; nothing fires again until", "时钟被调回；在此之前不会重复触发";
    stuck: "Stuck: past its timeout and not to be stopped", "卡住：已超时且无法停止";
    stale: "No success for too long", "过久没有成功";
    expected_by: "expected by", "应不晚于";
    last_success: "last success", "上次成功";
    workers_taken: "All workers are taken by", "全部工作槽被占用";
    for_seconds: "seconds so far", "秒";
    node: "Node", "节点";
    presence: "Presence", "在场";
    seen: "Last seen", "最后出现";
    held: "Runs held", "持有的运行";
    workers: "Workers", "工作槽";
    queue: "Queue", "队列";
    uptime: "Uptime", "运行时长";
    version: "Version", "版本";
    no_nodes: "No node has been seen.", "没有出现过的节点。";
    backend: "Store", "存储";
    dead_hint: "Jobs that have failed for good. They are kept for 30 days.", "彻底失败的作业，保留 30 天。";
    no_dead: "There are no dead letters.", "没有死信。";
    died: "Died", "失败于";
    arguments: "Arguments", "参数";
    run_again: "Run again", "再次运行";
    drop: "Drop", "丢弃";
    sure_drop: "Yes, drop it for good", "确认永久丢弃";
    drop_hint: "Its arguments are gone then.", "参数将不可恢复。";
    actions_hint: "What was asked for by commands, on dashboards and through their API, by whom, and what came of it: the last first.", "通过命令、仪表盘及其 API 请求的更改：由谁请求、结果如何；最新的在前。";
    no_actions: "Nothing was changed.", "没有更改。";
    when: "When", "时间";
    actor: "Actor", "操作者";
    change: "Change", "更改";
    outcome: "Outcome", "结果";
}

impl Language {
    /// What a state, a status, a presence or a change is called here; a word that is not known stays as it is.
    pub(super) fn value(self, word: &str) -> &str {
        let (english, chinese) = match word {
            "paused" => ("paused", "已暂停"),
            "running" => ("running", "运行中"),
            "retrying" => ("retrying", "重试中"),
            "pending" => ("pending", "等待中"),
            "completed" => ("completed", "已完成"),
            "failed" => ("failed", "失败"),
            "cancelled" => ("cancelled", "已取消"),
            "declared" => ("declared", "已声明"),
            "queued" => ("queued", "排队中"),
            "succeeded" => ("succeeded", "成功"),
            "timed_out" => ("timed out", "超时"),
            "abandoned" => ("abandoned", "被遗弃"),
            "alive" => ("alive", "在线"),
            "silent" => ("silent", "无响应"),
            "left" => ("left", "已离开"),
            "schedule" => ("schedule", "计划"),
            "start" => ("start", "启动"),
            _ => return word,
        };
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }

    /// What was just done, by the word of the change; nothing for a word that is none of ours, for it stands in an
    /// address that anybody may have written.
    pub(super) fn done(self, word: &str) -> Option<&'static str> {
        let (english, chinese) = match word {
            "triggered" => ("A run was added.", "已增加一次运行。"),
            "paused" => ("Paused.", "已暂停。"),
            "resumed" => ("Resumed.", "已恢复。"),
            "cancelled" => ("The run is asked to end.", "已要求该运行结束。"),
            "enqueued" => ("It will run again.", "将再次运行。"),
            "known" => {
                ("A job with its key is alive already, so the letter stays.", "具有相同键的作业尚在，死信保留。")
            }
            "dropped" => ("The letter was dropped.", "死信已丢弃。"),
            "backfilled" => ("The backfill has begun.", "补跑已开始。"),
            _ => return None,
        };
        Some(match self {
            Self::English => english,
            Self::Chinese => chinese,
        })
    }

    /// A record's reason: its sentence in English is what the store's answer holds.
    pub(super) fn reason(self, english: &str) -> &str {
        if self == Self::English {
            return english;
        }
        match english {
            "overlap: as many runs of the task were alive as are allowed" => "重叠：该任务同时存活的运行已达上限",
            "covered: a run was waiting already" => "已覆盖：已有一次运行在等待",
            "buffer full: as many occurrences waited as may" => "缓冲已满：等待的触发已达上限",
            "missed: nobody could start it in time" => "错过：没有节点能及时启动",
            "missed: nobody could start it in time, and it was older than the catch-up window" => {
                "错过：没有节点能及时启动，且已超出追赶窗口"
            }
            "missed: nobody could start it in time, and too many were missed to catch all up" => {
                "错过：没有节点能及时启动，且错过太多无法全部追赶"
            }
            "paused" => "已暂停",
            "rescheduled: it had not started when its task got another schedule" => "已改期：任务更换计划时它尚未开始",
            "past when its task was first seen" => "任务首次出现时它已过去",
            "the clock was set back and showed it a second time" => "时钟被调回，该时刻第二次出现",
            other => other,
        }
    }

    /// A length of time in one unit, or two: what a person compares.
    pub(super) fn length(self, millis: i64) -> String {
        let (ms, s, min, h, d) = match self {
            Self::English => (" ms", " s", " min", " h", " d"),
            Self::Chinese => (" 毫秒", " 秒", " 分钟", " 小时", " 天"),
        };
        let two = |whole: i64, big: &str, rest: i64, small: &str| match rest {
            0 => format!("{whole}{big}"),
            rest => format!("{whole}{big} {rest}{small}"),
        };
        let seconds = millis / 1_000;
        match seconds {
            0 => format!("{millis}{ms}"),
            1..10 if millis % 1_000 >= 100 => format!("{seconds}.{}{s}", millis % 1_000 / 100),
            1..60 => format!("{seconds}{s}"),
            60..3_600 => two(seconds / 60, min, seconds % 60, s),
            3_600..86_400 => two(seconds / 3_600, h, seconds / 60 % 60, min),
            _ => two(seconds / 86_400, d, seconds / 3_600 % 24, h),
        }
    }

    /// How far off an instant is.
    pub(super) fn distance(self, millis: i64) -> String {
        let length = self.length(millis.abs());
        match (self, millis) {
            (Self::English, 0..) => format!("in {length}"),
            (Self::English, _) => format!("{length} ago"),
            (Self::Chinese, 0..) => format!("{length}后"),
            (Self::Chinese, _) => format!("{length}前"),
        }
    }

    /// `1 occurrence`, `24 occurrences`.
    pub(super) fn occurrences(self, count: usize) -> String {
        match (self, count) {
            (Self::English, 1) => "1 occurrence".to_owned(),
            _ => format!("{count} {}", self.words().occurrences),
        }
    }

    /// `12 of 5000 shown`.
    pub(super) fn so_many(self, shown: impl Display, all: impl Display) -> String {
        match self {
            Self::English => format!("{shown} of {all} shown"),
            Self::Chinese => format!("显示 {shown} 项，共 {all} 项"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn every_word_is_in_both_languages() {
        for (name, english, chinese) in BOTH {
            assert!(!english.trim().is_empty() && !chinese.trim().is_empty(), "{name}");
            assert!(english.is_ascii(), "{name}: {english}");
            assert!(!chinese.is_ascii(), "{name}: {chinese}");
        }
    }

    /// All reasons. One that is added does not compile until it has its place here.
    fn reasons() -> impl Iterator<Item = Reason> {
        std::iter::successors(Some(Reason::Overlap), |reason| match reason {
            Reason::Overlap => Some(Reason::Covered),
            Reason::Covered => Some(Reason::BufferFull),
            Reason::BufferFull => Some(Reason::Missed),
            Reason::Missed => Some(Reason::TooOld),
            Reason::TooOld => Some(Reason::TooMany),
            Reason::TooMany => Some(Reason::Paused),
            Reason::Paused => Some(Reason::Rescheduled),
            Reason::Rescheduled => Some(Reason::PastAtFirstSight),
            Reason::PastAtFirstSight => Some(Reason::ClockSetBack),
            Reason::ClockSetBack => None,
        })
    }

    #[test]
    fn every_reason_is_told_in_chinese() {
        let mut told = std::collections::BTreeSet::new();
        for reason in reasons() {
            let english = reason.to_string();
            assert_eq!(Language::English.reason(&english), english);
            let chinese = Language::Chinese.reason(&english).to_owned();
            assert!(!chinese.is_ascii(), "{reason:?} is worded otherwise than the pages know it: {english}");
            assert!(told.insert(chinese), "{reason:?} is told as another one");
        }
        assert_eq!(told.len(), 10);
    }

    #[test]
    fn the_chosen_language_rules_over_the_browsers() {
        assert_eq!(Language::chosen(Some("en"), Some("zh-CN,en")), Language::English);
        assert_eq!(Language::chosen(None, Some("fr, zh-CN;q=0.8, en;q=0.5")), Language::Chinese);
        assert_eq!(Language::chosen(Some("<script>"), None), Language::English);
    }

    #[test]
    fn lengths_are_told_in_a_unit_or_two() {
        let told = |millis| Language::English.length(millis);
        assert_eq!([told(0), told(999), told(1_500), told(61_000)], ["0 ms", "999 ms", "1.5 s", "1 min 1 s"]);
        assert_eq!([told(3_600_000), told(90_000_000)], ["1 h", "1 d 1 h"]);
        assert_eq!(Language::English.distance(-2_000), "2 s ago");
        assert_eq!(Language::Chinese.distance(60_000), "1 分钟后");
    }
}
