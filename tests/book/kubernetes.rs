//! The manifests of the page on Kubernetes: they are YAML, ask what the program answers, give it the time that it needs, and set
//! variables that there are.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use symphra_scheduler::{Schedule, Scheduler, SchedulerConfig, Task, parse_duration};
use tower_service::Service;

use super::{code_blocks, page};

fn manifests() -> Vec<Value> {
    let text = page("en", "kubernetes.md");
    let blocks = code_blocks(&text).into_iter().filter_map(|block| block.strip_prefix("yaml\n"));
    blocks.map(|block| serde_saphyr::from_str(block).expect("it is YAML")).collect()
}

fn shutdown_timeout() -> u64 {
    let schema: Value = serde_json::from_str(&SchedulerConfig::json_schema()).expect("it is JSON");
    let says = schema["properties"]["shutdown_timeout"]["description"].as_str().expect("it is described").to_owned();
    let (_, default) = says.split_once("Default ").expect("it names its default");
    parse_duration(default.trim_end_matches('.')).expect("a duration").as_secs()
}

#[test]
fn pods_have_time_to_drain_and_variables_that_there_are() {
    let known = page("en", "settings.md");
    let manifests = manifests();
    assert_eq!(manifests.len(), 3, "two deployments and an init container");
    let mut deployments = 0;
    for manifest in &manifests {
        let pod = match &manifest["spec"] {
            Value::Null => manifest,
            spec => {
                deployments += 1;
                let grace = spec["template"]["spec"]["terminationGracePeriodSeconds"].as_u64().expect("a grace period");
                assert!(grace >= shutdown_timeout() + 5, "{grace} s are too few");
                assert_eq!(spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]);
                &spec["template"]["spec"]
            }
        };
        let containers = pod["containers"].as_array().or(pod["initContainers"].as_array()).expect("containers");
        for variable in containers.iter().flat_map(|container| container["env"].as_array().expect("variables")) {
            let name = variable["name"].as_str().expect("a name");
            assert!(known.contains(&format!("| `{name}` |")) || name == "DASHBOARD_TOKEN", "{name} is no variable");
        }
        let is_file = manifest.to_string().contains("sqlite://");
        assert!(!is_file || manifest["spec"]["strategy"]["type"] == "Recreate", "a file has one host");
        assert!(!is_file || manifest["spec"]["replicas"] == 1, "a file has one host");
    }
    assert_eq!(deployments, 2);
}

#[tokio::test]
async fn the_probes_are_answered_without_a_token_where_the_manifest_asks() {
    let idle = Task::new("idle", Schedule::cron("0 0 1 1 *").expect("an expression"), || async {});
    let scheduler = Scheduler::empty().register(idle).start().await.expect("it starts");
    let dashboard = scheduler.dashboard().token("a token of enough bytes").expect("a token").into_router();
    let mut routes = Router::new().nest_service("/scheduler", dashboard);
    let container = &manifests()[0]["spec"]["template"]["spec"]["containers"][0];
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let path = container[probe]["httpGet"]["path"].as_str().expect("a path");
        // The kubelet asks by the address of the pod.
        let request = Request::get(path).header("Host", "10.1.2.3:8080").body(Body::empty()).expect("a request");
        let response = routes.call(request).await.expect("it answers");
        assert!(response.status().is_success(), "{probe} at {path}: {}", response.status());
    }
    scheduler.stop().await.expect("it stops");
}
