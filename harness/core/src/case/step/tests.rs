//! How steps are read.

use super::*;
use crate::yaml;

fn step(text: &str) -> Result<Step, String> {
    let listed = format!("- {}", text.replace('\n', "\n  "));
    let steps: Vec<Step> = yaml::parse("case.yaml", &listed).map_err(|error| error.to_string())?;
    steps.into_iter().next().ok_or_else(|| "no step".to_owned())
}

fn step_error(text: &str) -> String {
    step(text).unwrap_err()
}

#[test]
fn a_request_keeps_its_parts() {
    let step = step("request: tools/list\nparams: {cursor: x}\nid: '\"a\"'\nas: page\nwithin: 2s").unwrap();
    assert_eq!(step.name.as_deref(), Some("page"));
    assert_eq!(step.within, Some(Duration::from_secs(2)));
    let Action::Request { method, params, id, .. } = step.action else {
        panic!("{step:?}")
    };
    assert_eq!((method.as_str(), id.as_deref()), ("tools/list", Some("\"a\"")));
    assert_eq!(params, Some(serde_json::json!({"cursor": "x"})));
}

#[test]
fn a_request_may_change_its_metadata_and_show_what_is_asked_for() {
    let step = step("request: tools/call\nmeta: {a: null}\nretry: false").unwrap();
    assert!(!step.retry && matches!(step.meta, Some(MetaChange::Keys(_))));
    assert!(step_error("probe: alive\nmeta: none").contains("makes no sense"));
    assert!(step_error("request: a\nmeta: 5").contains("word none"));
}

#[test]
fn a_step_with_needs_names_its_method_as_the_place() {
    let listing = step("request: tools/list\nneeds: [tools]").unwrap();
    assert_eq!((listing.needs.len(), listing.about()), (1, Some("tools/list")));
    assert_eq!(step("request: tools/list").unwrap().about(), None);
}

#[test]
fn what_a_step_cannot_mean_is_refused_with_its_place() {
    for (text, complaint) in [
        ("params: {}", "a step needs one of"),
        ("request: a\nnotify: b", "one thing"),
        ("notify: a\narguments: {generate: valid, from: tool}", "makes no sense"),
        ("silence: soon", "is not a time"),
        ("probe: dead", "always \"alive\""),
        ("await: a\nparams: []", "are an object"),
        ("parallel: [{probe: alive}]", "are requests"),
        ("for-each: tools\nsteps: []", "names its item"),
        ("close-stdin: false", "true or left out"),
        ("reqest: a", "unknown field"),
    ] {
        let error = step(text).unwrap_err();
        assert!(
            error.contains(complaint) && error.contains("case.yaml:1:"),
            "{text}: {error}"
        );
    }
}

#[test]
fn every_action_in_the_table_can_be_written() {
    for (name, _) in ACTIONS {
        let text = match name {
            "send" | "bind" | "answer" => format!("{name}: {{}}"),
            "send-chunks" => format!("{name}: [a]"),
            "http" => "http: {method: GET}".to_owned(),
            "silence" => "silence: 1ms".to_owned(),
            "close-stdin" | "expect-exit" | "reconnect" => format!("{name}: true"),
            "probe" => "probe: alive".to_owned(),
            "for-each" => "for-each: tools\nas: tool\nsteps: []".to_owned(),
            "repeat" => "repeat: 2\nsteps: []".to_owned(),
            "parallel" => "parallel: []".to_owned(),
            other => format!("{other}: YQ=="),
        };
        assert!(step(&text).is_ok(), "{text}: {:?}", step(&text));
    }
}
