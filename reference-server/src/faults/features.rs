//! Faults that several features share: pages, and what is done with params.

use serde_json::{Value, json};

use super::spoil::{Answers, Every, Results, error, internal, params, take};
use super::{Decorator, Fault};
use crate::envelope::{Request, Response};
use crate::revision::Revision;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "cursor-loop",
        "gives out the cursor of the page that it is on",
        &["pagination/terminates"],
        || {
            Box::new(Results(|request, result| {
                if let ("tools/list", Some(cursor)) = (request.method.as_str(), params(request).get("cursor")) {
                    result["nextCursor"] = cursor.clone();
                }
            }))
        },
    ),
    Fault::new(
        "cursor-dup",
        "begins a page with the last entry of the page before",
        &["pagination/no-overlap"],
        || Box::new(Overlap::default()),
    ),
    Fault::new(
        "cursor-ignore",
        "answers any cursor",
        &["pagination/invalid-cursor"],
        || {
            Box::new(Answers(|request, response| {
                let string = params(request).get("cursor").is_some_and(Value::is_string);
                (foreign(request, response) && string).then(|| Ok(empty(request)))
            }))
        },
    ),
    Fault::new(
        "cursor-internal",
        "has an internal error when it does not know a cursor",
        &["pagination/invalid-cursor", "pagination/invalid-cursor-graceful"],
        || {
            Box::new(Answers(|request, response| {
                let string = params(request).get("cursor").is_some_and(Value::is_string);
                (foreign(request, response) && string).then(|| Err(internal()))
            }))
        },
    ),
    Fault::new(
        "cursor-any-type",
        "answers cursors that are numbers",
        &["pagination/invalid-cursor-type"],
        || {
            Box::new(Answers(|request, response| {
                let string = params(request).get("cursor").is_some_and(Value::is_string);
                (foreign(request, response) && !string).then(|| Ok(empty(request)))
            }))
        },
    ),
    Fault::new(
        "cursor-number",
        "gives out numbers for cursors",
        &["pagination/next-cursor-string"],
        || {
            Box::new(Every("tools/list", |result| {
                if result.get("nextCursor").is_some() {
                    result["nextCursor"] = json!(5);
                }
            }))
        },
    ),
    Fault::new(
        "cursor-null",
        "says null where no page follows",
        &["schema/no-null-optionals"],
        || {
            Box::new(Every("tools/list", |result| {
                if result.get("nextCursor").is_none() {
                    result["nextCursor"] = json!(null);
                }
            }))
        },
    ),
    Fault::new(
        "cursor-forgotten",
        "refuses the cursors that it has given out",
        &["pagination/cursor-accepted"],
        || {
            Box::new(Answers(|request, response| {
                let given = request.method == "tools/list" && params(request).contains_key("cursor");
                (given && response.outcome.is_ok()).then(|| Err(error(-32602, "The cursor has expired")))
            }))
        },
    ),
    Fault::new(
        "cursor-unknown-param",
        "gives out cursors, and does not know the parameter",
        &["pagination/operations"],
        || {
            Box::new(Answers(|request, response| {
                let given = request.method == "tools/list" && params(request).contains_key("cursor");
                (given && response.outcome.is_ok()).then(|| Err(error(-32602, "Unexpected parameter: cursor")))
            }))
        },
    ),
    Fault::new(
        "unstable-pages",
        "lists a page in another order each time",
        &["pagination/stable-cursors"],
        || Box::new(Unstable::default()),
    ),
    Fault::new(
        "params-strict",
        "refuses params with members that it does not know",
        &["base-protocol/unknown-params-members"],
        || {
            Box::new(Answers(|request, _| {
                params(request)
                    .contains_key("com.example.unknown")
                    .then(|| Err(error(-32602, "Unknown parameter")))
            }))
        },
    ),
    Fault::new(
        "vendor-meta-refused",
        "refuses keys of others in _meta",
        &["meta/vendor-keys-accepted"],
        || {
            Box::new(Answers(|request, _| {
                let foreign = params(request)
                    .get("_meta")
                    .is_some_and(|meta| meta.get("com.example/key").is_some());
                foreign.then(|| Err(error(-32602, "Unknown key in _meta")))
            }))
        },
    ),
    Fault::new(
        "reserved-meta-assumed",
        "relies on what stands under reserved keys of _meta",
        &["meta/reserved-values-not-assumed"],
        || {
            Box::new(Answers(|request, _| {
                let reserved = params(request)
                    .get("_meta")
                    .is_some_and(|meta| meta.get("mcp.dev/unknown").is_some());
                reserved.then(|| Err(internal()))
            }))
        },
    ),
    Fault::new(
        "tools-undeclared",
        "serves tools, and declares none",
        &["tools/capability-declared", "tools/call-unsupported-error"],
        || {
            Box::new(Every("initialize", |result| {
                drop(take(&mut result["capabilities"], "tools"))
            }))
        },
    ),
    Fault::new(
        "call-undeclared",
        "declares no tools, and answers calls with results",
        &["tools/call-unsupported-error"],
        || Box::new(CallUndeclared),
    ),
    Fault::new(
        "embedded-no-capability",
        "embeds resources in results, and declares none",
        &["tools/embedded-needs-resources", "resources/list-changed-undeclared"],
        || Box::new(NoResources),
    ),
    Fault::new(
        "batch-silent",
        "ignores batches",
        &[
            "base-protocol/batch-receive",
            "transport-streamable-http/batch-mixed",
            "transport-streamable-http/request-content-type",
        ],
        || {
            Box::new(super::spoil::Instead(|bytes| {
                bytes.trim_ascii_start().starts_with(b"[").then(Vec::new)
            }))
        },
    )
    .under(Revision::V2025_03_26),
];

/// Whether a list was asked for with a cursor that it has not given out.
fn foreign(request: &Request, response: &Response) -> bool {
    request.method.ends_with("/list")
        && response
            .outcome
            .as_ref()
            .is_err_and(|error| error.message.contains("cursor"))
}

/// A page without entries.
fn empty(request: &Request) -> Value {
    json!({ request.method.split('/').next().unwrap_or_default(): [] })
}

/// `cursor-dup`.
#[derive(Debug, Default)]
struct Overlap {
    first: Option<Value>,
}

impl Decorator for Overlap {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("tools/list", Ok(result)) = (request.method.as_str(), &mut response.outcome)
            && let Some(tools) = result["tools"].as_array_mut()
        {
            match &self.first {
                Some(first) if params(request).contains_key("cursor") => tools.insert(0, first.clone()),
                _ => self.first = tools.last().cloned(),
            }
        }
        response
    }
}

/// `unstable-pages`: every second time a page that a cursor leads to is turned round.
#[derive(Debug, Default)]
struct Unstable {
    times: usize,
}

impl Decorator for Unstable {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("tools/list", Ok(result)) = (request.method.as_str(), &mut response.outcome)
            && params(request).contains_key("cursor")
            && let Some(tools) = result["tools"].as_array_mut()
        {
            self.times += 1;
            if self.times.is_multiple_of(2) {
                tools.reverse();
            }
        }
        response
    }
}

/// `call-undeclared`: no tools, but calls succeed.
#[derive(Debug)]
struct CallUndeclared;

impl Decorator for CallUndeclared {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        match (request.method.as_str(), &mut response.outcome) {
            ("initialize", Ok(result)) => drop(take(&mut result["capabilities"], "tools")),
            ("tools/list", outcome) => *outcome = Err(error(-32601, "Method not found")),
            ("tools/call", outcome) => *outcome = Ok(super::spoil::text("done")),
            _ => {}
        }
        response
    }
}

/// `embedded-no-capability`: resources come only inside the results of tools.
#[derive(Debug)]
struct NoResources;

impl Decorator for NoResources {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("initialize", Ok(result)) = (request.method.as_str(), &mut response.outcome) {
            take(&mut result["capabilities"], "resources");
        }
        if request.method.starts_with("resources/") {
            response.outcome = Err(error(-32601, "Method not found"));
        }
        response
    }
}
