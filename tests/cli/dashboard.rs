//! The dashboard on its own: the real command beside a store on which no program runs, asked over HTTP.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use symphra_scheduler_tests::http_request;
use symphra_scheduler_tests::services::{Postgres, has_postgres, has_program};
use symphra_scheduler_tests::shown::{Shell, script};

use super::rig::{APP, Home, PATIENCE, Program, SYMPHRA, Said, until};
use super::stored::Kept;

const TOKEN: &str = "0123456789abcdef-token";
const TOKEN_VARIABLE: &str = "SYMPHRA_DASHBOARD_TOKEN";

/// The command, once it listens.
struct Served {
    program: Program,
    address: SocketAddr,
}

/// What was answered.
#[derive(Debug)]
struct Told {
    status: u16,
    body: String,
}

impl Served {
    fn of(mut command: Command) -> Self {
        let mut program = Program::of(std::mem::replace(command.arg("--json"), Command::new("true")));
        let line = program.prints("\"url\"");
        let url = line.split('"').nth(3).expect("a URL").to_owned();
        let address = url.split('/').nth(2).expect("an address").parse().expect("an address in numbers");
        Self { program, address }
    }

    /// Of a store, at any free port.
    fn beside(kept: &Kept, arguments: &[&str], token: Option<&str>) -> Self {
        let all = ["dashboard", "--url", &kept.url, "--namespace", &kept.namespace, "--listen", "127.0.0.1:0"];
        let all: Vec<&str> = all.into_iter().chain(arguments.iter().copied()).collect();
        let mut command = kept.home.command(SYMPHRA, "symphra", &all);
        if let Some(token) = token {
            command.env(TOKEN_VARIABLE, token);
        }
        Self::of(command)
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is possible");
        let request = http_request(method, path, &self.address.to_string(), headers, body);
        stream.write_all(request.as_bytes()).expect("it takes the request");
        stream
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Told {
        Told::of(self.ask(method, path, headers, body))
    }

    fn get(&self, path: &str) -> Told {
        self.send("GET", path, &[], "")
    }

    fn with_token(&self, method: &str, path: &str, body: &Value) -> Told {
        let bearer = format!("Bearer {TOKEN}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &[("Authorization", &bearer)], &body)
    }
}

impl Told {
    /// What is answered until the line ends.
    fn of(mut stream: TcpStream) -> Self {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8(answer).expect("it is text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Self { status, body: body.to_owned() }
    }

    #[track_caller]
    fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    fn message(&self) -> String {
        self.json()["error"]["message"].as_str().expect("an error has a message").to_owned()
    }
}

/// A store that a program has used, and left.
fn left(kept: &Kept) {
    assert_eq!(kept.runs().ends_by("TERM"), Some(0));
}

#[test]
fn a_store_is_shown_and_changed_by_http_while_no_program_runs_on_it() {
    for kept in Kept::everywhere() {
        left(&kept);
        let served = Served::beside(&kept, &[], Some(TOKEN));
        for path in ["/", "/runs", "/api/tasks", "/events", "/health", "/metrics"] {
            let told = served.get(path).with(401);
            assert!(!told.body.contains("report"), "{path}: {told:?}");
        }
        assert_eq!(served.get("/livez").with(200).body, "alive\n");
        assert_eq!(served.get("/readyz").with(200).body, "ready\n");
        for path in ["/", "/task?name=report", "/timeline", "/runs", "/nodes", "/actions"] {
            served.with_token("GET", path, &Value::Null).with(200);
        }
        assert!(served.with_token("GET", "/", &Value::Null).body.contains("report"));

        let health = served.with_token("GET", "/health", &Value::Null).with(503).json();
        assert_eq!((&health["well"], &health["alive"], &health["ready"]), (&json!(false), &json!(false), &json!(true)));
        let nodes = served.with_token("GET", "/nodes", &Value::Null).body;
        assert!(nodes.contains("No program runs on this store") && !nodes.contains("timer"), "{nodes}");
        let metrics = served.with_token("GET", "/metrics", &Value::Null).with(404).message();
        assert!(metrics.contains("alone"), "{metrics}");

        let pause = json!({ "task": "report", "reason": "a move" });
        assert_eq!(served.with_token("POST", "/api/pause", &pause).with(200).json()["done"], "paused");
        let task = &kept.json(&["show", "report"]);
        let pause = &task["pause"];
        assert_eq!((&pause["by"], &pause["reason"]), (&json!("dashboard (token)"), &json!("a move")), "{task}");
        let run = served.with_token("POST", "/api/trigger", &json!({ "task": "fails" })).with(200).json();
        let runs = kept.json(&["runs", "fails", "-n", "1"]);
        assert_eq!((&runs[0]["id"], &runs[0]["state"]), (&run["run"], &json!("queued")));
        let asked = served.with_token("GET", "/api/actions", &Value::Null).json();
        assert_eq!(asked[0]["change"], "trigger (task: fails)");
        assert_eq!(served.program.ends_by("TERM"), Some(0));
    }
}

#[test]
fn without_a_token_it_is_looked_at_by_its_own_names_and_changed_only_where_that_is_allowed() {
    let kept = Kept::in_sqlite();
    left(&kept);
    let served = Served::beside(&kept, &["--allowed-host", "Ops.example.com"], None);
    let own = format!("http://{}", served.address);
    let body = r#"{"task":"report"}"#;
    let foreign = served.send("GET", "/api/tasks", &[("Host", "evil.example")], "").with(421).message();
    assert!(foreign.contains("evil.example") && foreign.contains("--allowed-host"), "{foreign}");
    served.send("GET", "/api/tasks", &[("Host", "ops.example.com")], "").with(200);
    let says = served.send("POST", "/api/trigger", &[("Origin", &own)], body).with(403).message();
    assert!(says.contains("--allow-writes"), "{says}");

    let mut served = Served::beside(&kept, &["--allow-writes"], None);
    served.program.prints("\"store\": \"sqlite://");
    served.program.prints("\"changes\": \"everybody\"");
    let own = format!("http://{}", served.address);
    served.send("POST", "/api/trigger", &[("Origin", "http://evil.example")], body).with(403);
    assert_eq!(kept.json(&["runs", "report"]).as_array().map(Vec::len), Some(0));
    served.send("POST", "/api/trigger", &[("Origin", &own)], body).with(200);
    assert_eq!(kept.json(&["runs", "report"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn it_hangs_below_a_path_that_a_proxy_passes_on() {
    let kept = Kept::in_sqlite();
    left(&kept);
    let served = Served::beside(&kept, &["--prefix", "/ops/scheduler", "--allow-writes"], None);
    for path in ["/ops/scheduler", "/ops/scheduler/", "/ops/scheduler/tasks"] {
        let body = served.get(path).with(200).body;
        for attribute in [" href=\"", " src=\"", " action=\"", " data-events=\""] {
            for link in body.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(link.starts_with("/ops/scheduler/") || link.starts_with('#'), "{path} leads to {link}");
            }
        }
    }
    served.get("/ops/scheduler/livez").with(200);
    for path in ["/", "/tasks", "/ops/tasks", "/ops/schedulers/tasks"] {
        served.get(path).with(404);
    }
    let own = format!("http://{}", served.address);
    let body = r#"{"task":"report"}"#;
    served.send("POST", "/ops/scheduler/api/trigger", &[("Origin", "http://evil.example")], body).with(403);
    served.send("POST", "/ops/scheduler/api/trigger", &[("Origin", &own)], body).with(200);
    assert_eq!(kept.json(&["runs", "report"]).as_array().map(Vec::len), Some(1));
    for wrong in ["ops", "/", "/ops/", "//ops", "/ops/../x", "/{ops}", "/*ops", "/op s", "/ops?x", "http://ops/"] {
        kept.home.symphra(&["dashboard", "--prefix", wrong]).fails(2, &["--prefix", wrong, "/scheduler"]);
    }
}

#[test]
fn a_programs_own_command_knows_what_it_declares() {
    let kept = Kept::in_sqlite();
    left(&kept);
    let command = kept.configured(kept.home.command(APP, "app", &["dashboard", "--listen", "127.0.0.1:0"]));
    let own = Served::of(command).get("/api/tasks").with(200).json();
    let others = Served::beside(&kept, &[], None).get("/api/tasks").with(200).json();
    let source = |tasks: &Value| tasks[0]["source"].as_str().expect("a text").to_owned();
    assert!(source(&own).contains("operated.rs") && source(&others).is_empty(), "{own} {others}");
    let said = Home::new().app(&["dashboard"]);
    said.fails(2, &["the memory backend keeps nothing beyond its process", "backend.url"]);
}

#[test]
fn what_is_asked_for_wrongly_is_told_before_it_listens() {
    let home = Home::new();
    let url = format!("sqlite://{}", home.path("store.db").display());
    let says = |arguments: &[&str], token: Option<&str>| {
        let store = ["dashboard", "--url", &url, "--namespace", "app"];
        let all: Vec<&str> = store.into_iter().chain(arguments.iter().copied()).collect();
        let mut command = home.command(SYMPHRA, "symphra", &all);
        if let Some(token) = token {
            command.env(TOKEN_VARIABLE, token);
        }
        Said::of(command.stdin(Stdio::null()).output().expect("it runs"))
    };
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9393"] {
        let said = says(&["--listen", address, "--allow-writes"], None);
        said.fails(2, &[address, "no token", "127.0.0.1 or [::1]", TOKEN_VARIABLE, "--token-file"]);
    }
    says(&["--listen", "0.0.0.0"], None).fails(2, &["0.0.0.0", "127.0.0.1:9393"]);
    says(&["--listen", "localhost:9393"], None).fails(2, &["localhost:9393", "127.0.0.1:9393"]);
    says(&["--allowed-host", "https://ops.example.com"], None).fails(2, &["https://ops.example.com", "without scheme"]);
    says(&["--name", "billing"], None).fails(2, &["drop --name"]);

    let word = "hunter2-hunter2-hunter2";
    let said = says(&["--token", word], None);
    said.fails(2, &["--token", "--token-file"]);
    assert!(!said.err.contains(word), "{said:?}");
    for token in ["", "hunter2"] {
        let said = says(&[], Some(token));
        said.fails(2, &[TOKEN_VARIABLE, "16 to 1024 bytes", "openssl"]);
        assert!(!said.err.contains("hunter2"), "{said:?}");
    }
    says(&["--token-file", "nowhere"], None).fails(2, &["--token-file nowhere", "No such file"]);
    home.write("long", &"x".repeat(5_000));
    says(&["--token-file", "long"], None).fails(2, &["--token-file long", "4096 bytes"]);

    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has one").to_string();
    says(&["--listen", &address], None).fails(1, &[&address, "another program listens there", "--listen 127.0.0.1:0"]);
    says(&["--listen", "192.0.2.1:9393"], Some(word)).fails(1, &["192.0.2.1:9393", "no such address"]);
    home.symphra(&["dashboard"]).fails(2, &["which store?", "--url", "memory backend"]);
    assert!(!home.path("store.db").exists(), "who only looks makes no store");
}

#[test]
fn a_file_has_the_token_and_who_else_can_read_it_is_told() {
    let kept = Kept::in_sqlite();
    left(&kept);
    kept.home.write("token", &format!("{TOKEN}\n"));
    let file = kept.home.path("token");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("it is ours");
    let path = file.to_str().expect("it is text");
    // What a file says counts before the variable.
    let mut served = Served::beside(&kept, &["--token-file", path], Some("another-token-that-is-long"));
    served.program.warns("mode 644");
    served.get("/api/tasks").with(401);
    served.with_token("GET", "/api/tasks", &Value::Null).with(200);
}

#[test]
fn who_listens_hears_of_changes_by_others_and_holds_up_no_end() {
    let kept = Kept::in_sqlite();
    left(&kept);
    let served = Served::beside(&kept, &[], None);
    let mut news = BufReader::new(served.ask("GET", "/events", &[], ""));
    heard(&mut news);
    kept.json(&["pause", "report"]);
    heard(&mut news);
    kept.json(&["trigger", "fails"]);
    heard(&mut news);
    // A line on which nothing was asked yet.
    let idle = TcpStream::connect(served.address).expect("it listens");
    let asked = Instant::now();
    assert_eq!(served.program.ends_by("TERM"), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let mut rest = String::new();
    news.read_to_string(&mut rest).expect("it ends as it should");
    assert!(rest.ends_with("0\r\n\r\n"), "the stream was ended, and not cut: {rest:?}");
    drop(idle);
}

/// Reads on until something has changed.
fn heard(news: &mut impl BufRead) {
    let mut line = String::new();
    while line != "data: changed\n" {
        line.clear();
        assert!(news.read_line(&mut line).expect("in time") > 0, "it ended");
    }
}

#[test]
fn a_store_that_is_away_is_named_and_found_again() {
    if !has_postgres() {
        return;
    }
    let mut server = Postgres::start();
    let url = server.url().replace("postgres@", "postgres:hunter2@");
    let kept = Kept { home: Home::new(), url, namespace: "away".to_owned() };
    left(&kept);
    server.stop();
    let mut served = Served::beside(&kept, &[], None);
    let note = served.program.warns("does not answer");
    let place = format!("127.0.0.1:{}", server.port());
    assert!(note.contains(&place) && !note.contains("hunter2"), "{note}");
    for _ in 0..2 {
        // All at once, for each waits as long as a store that is there may take.
        let asked = ["/", "/nodes", "/api/tasks", "/health", "/readyz"].map(|path| served.ask("GET", path, &[], ""));
        served.get("/livez").with(200);
        let [pages @ .., ready] = asked.map(|asked| Told::of(asked).with(503));
        for told in pages {
            assert!(told.body.contains(&place) && !told.body.contains("hunter2"), "{told:?}");
        }
        assert!(!ready.body.contains(&place), "it is told to whoever asks: {ready:?}");
        server.run();
        let tasks = || served.get("/api/tasks").json();
        let found = until(tasks, &["/api/tasks"], Value::is_array);
        assert_eq!(found.as_array().map(Vec::len), Some(5));
        served.get("/").with(200);
        served.get("/readyz").with(200);
        server.stop();
    }
    assert_eq!(served.program.ends_by("INT"), Some(0));
}

#[test]
fn a_dashboard_stands_alone_as_the_page_has_it() {
    if !has_program("openssl") {
        return;
    }
    const URL: &str = "postgres://payroll@db.example/payroll";
    const PORT: &str = ":9393";
    let mut kept = Kept::in_sqlite();
    "payroll".clone_into(&mut kept.namespace);
    left(&kept);
    let shell = Shell::in_folder(&kept.home.0);
    shell.has("symphra", SYMPHRA);
    let shown = script("docs/en/dashboard.md", "symphra dashboard");
    assert!(shown.contains(URL) && shown.contains(PORT), "{shown}");
    let shown = shown.replace(URL, &kept.url).replace(PORT, ":0");
    // What is typed last takes the place of the shell, and tells in JSON where it listens.
    let (before, last) = shown.trim_end().rsplit_once('\n').expect("lines");
    let typed = format!("{before}\necho -n \"${TOKEN_VARIABLE}\" >token\nexec {last} \"$@\"");
    let mut command = shell.types(&typed);
    command.env("SYMPHRA_CONTROL_DIR", &kept.home.0).arg("bash");
    let served = Served::of(command);
    let token = fs::read_to_string(kept.home.path("token")).expect("it is set");
    assert_eq!(token.len(), 64, "{token:?}");
    let bearer = format!("Bearer {token}");
    let ask = |host: &str, headers: &[(&str, &str)]| {
        let host = [("Host", host)];
        let headers: Vec<_> = host.iter().chain(headers).copied().collect();
        served.send("GET", "/api/tasks", &headers, "")
    };
    let tasks = ask("ops.example.com", &[("Authorization", &bearer)]).with(200).json();
    assert!(tasks.to_string().contains("report"), "{tasks}");
    ask("ops.example.com", &[]).with(401);
    ask("elsewhere.example.com", &[("Authorization", &bearer)]).with(421);
}
