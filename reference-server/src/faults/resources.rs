//! Faults of resources: listing, reading, and telling about changes.

use serde_json::{Value, json};

use super::spoil::{
    Addition, After, Answers, Entry, Every, Named, Results, error, internal, notification, params, take,
};
use super::{Decorator, Fault, Received};
use crate::conversation::Output;
use crate::envelope::{Request, Response, RpcError};

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "resources-object",
        "lists resources as an object",
        &["resources/list-array", "resources/list-supported"],
        || Box::new(Every("resources/list", |result| *result = json!({ "resources": {} }))),
    ),
    Fault::new(
        "uri-relative",
        "lists a resource whose URI is relative",
        &["resources/uri-valid"],
        || {
            Box::new(Addition(
                "resources/list",
                "resources",
                || json!({ "uri": "readme.md", "name": "relative" }),
            ))
        },
    ),
    Fault::new(
        "scheme-underscore",
        "lists a resource whose scheme has an underscore",
        &["resources/custom-scheme"],
        || {
            Box::new(Addition(
                "resources/list",
                "resources",
                || json!({ "uri": "my_docs://notes", "name": "underscore" }),
            ))
        },
    ),
    Fault::new(
        "resource-nameless",
        "lists a resource without name",
        &["resources/name-string"],
        || notes(|resource| drop(take(resource, "name"))),
    ),
    Fault::new(
        "dup-resource",
        "lists a resource twice",
        &["resources/uri-unique", "pagination/no-overlap"],
        || {
            Box::new(Addition(
                "resources/list",
                "resources",
                || json!({ "uri": "docs://notes", "name": "notes" }),
            ))
        },
    ),
    Fault::new(
        "resource-mime-number",
        "lists a number for a MIME type",
        &["resources/mime-type-string"],
        || notes(|resource| resource["mimeType"] = json!(5)),
    ),
    Fault::new(
        "resource-size-text",
        "lists a text for a size",
        &["resources/size-integer"],
        || notes(|resource| resource["size"] = json!("22 bytes")),
    ),
    Fault::new(
        "resource-description-number",
        "lists a number for a description",
        &["resources/description-string"],
        || notes(|resource| resource["description"] = json!(5)),
    ),
    Fault::new(
        "templates-object",
        "lists templates as an object",
        &["resources/templates-array", "resources/templates-list-supported"],
        || {
            Box::new(Every("resources/templates/list", |result| {
                *result = json!({ "resourceTemplates": {} })
            }))
        },
    ),
    Fault::new(
        "templates-internal",
        "has an internal error when templates are listed",
        &["resources/templates-list-supported"],
        || refusing("resources/templates/list"),
    ),
    Fault::new(
        "template-open",
        "lists a template whose brace is never closed",
        &["resources/template-uri-template"],
        || template(|template| template["uriTemplate"] = json!("config://app/{key")),
    ),
    Fault::new(
        "template-nameless",
        "lists a template without name",
        &["resources/template-name-string"],
        || template(|template| drop(take(template, "name"))),
    ),
    Fault::new(
        "template-mime-number",
        "lists a number for the MIME type of a template",
        &["resources/template-optional-types"],
        || template(|template| template["mimeType"] = json!(5)),
    ),
    Fault::new(
        "contents-object",
        "reads contents as an object",
        &["resources/read-contents-array", "resources/listed-readable"],
        || readme(|result| result["contents"] = json!({})),
    ),
    Fault::new(
        "content-no-uri",
        "reads contents without URI",
        &["resources/content-uri"],
        || readme(|result| drop(take(&mut result["contents"][0], "uri"))),
    ),
    Fault::new(
        "content-empty",
        "reads contents without text or blob",
        &["resources/content-text-or-blob"],
        || readme(|result| drop(take(&mut result["contents"][0], "text"))),
    ),
    Fault::new(
        "content-mime-number",
        "reads a number for a MIME type",
        &["resources/content-mime-string"],
        || readme(|result| result["contents"][0]["mimeType"] = json!(5)),
    ),
    Fault::new(
        "blob-not-base64",
        "reads a blob that is no base64",
        &["resources/blob-base64"],
        || {
            Box::new(Named("resources/read", "docs://logo", |result| {
                result["contents"][0]["blob"] = json!("no base64!")
            }))
        },
    ),
    Fault::new(
        "binary-as-text",
        "reads a picture as text",
        &["resources/text-only-for-text"],
        || {
            Box::new(Named("resources/read", "docs://logo", |result| {
                result["contents"][0] = json!({ "uri": "docs://logo", "mimeType": "image/png", "text": "PNG" });
            }))
        },
    ),
    Fault::new(
        "listed-unreadable",
        "lists a resource that cannot be read",
        &["resources/listed-readable"],
        || {
            Box::new(Answers(|request, _| {
                super::spoil::asks(request, "resources/read", "docs://readme").then(|| {
                    Err(RpcError::resource_not_found(
                        crate::revision::Revision::V2025_11_25,
                        "docs://readme",
                    ))
                })
            }))
        },
    ),
    Fault::new(
        "not-found-ok",
        "reads what does not exist as nothing",
        &["resources/not-found-error"],
        || {
            Box::new(Answers(|request, response| {
                let uri = params(request).get("uri").and_then(Value::as_str).map(str::to_owned)?;
                (missing(request, response) && uri.contains("://no/")).then(|| Ok(json!({ "contents": [] })))
            }))
        },
    ),
    Fault::new(
        "not-found-internal",
        "has an internal error when a resource does not exist",
        &["resources/not-found-code-legacy"],
        || {
            Box::new(Answers(|request, response| {
                missing(request, response).then(|| Err(internal()))
            }))
        },
    ),
    Fault::new(
        "missing-uri-internal",
        "has an internal error when no URI is given",
        &["resources/read-missing-uri"],
        || {
            Box::new(Answers(|request, _| {
                let named = params(request).get("uri").is_some_and(Value::is_string);
                (request.method == "resources/read" && !named).then(|| Err(internal()))
            }))
        },
    ),
    Fault::new(
        "uri-anything",
        "takes any text for a URI",
        &["resources/uri-validated"],
        || {
            Box::new(Answers(|request, response| {
                let uri = params(request).get("uri").and_then(Value::as_str).map(str::to_owned)?;
                let contents = json!({ "contents": [{ "uri": "docs://any", "text": "anything" }] });
                (missing(request, response) && !uri.contains("://")).then_some(Ok(contents))
            }))
        },
    ),
    Fault::new(
        "path-traversal",
        "follows ../ in URIs out of the exposed folder",
        &["resources/path-traversal"],
        || Box::new(Leaking(|uri| uri.contains("/../") && uri.ends_with("/etc/passwd"))),
    ),
    Fault::new(
        "path-traversal-encoded",
        "follows %2e%2e in URIs out of the exposed folder",
        &["resources/path-traversal"],
        || Box::new(Leaking(|uri| uri.contains("%2e%2e"))),
    ),
    Fault::new(
        "subscribe-refused",
        "declares subscriptions and refuses them",
        &["resources/subscribe-accepted", "resources/updated-only-subscribed"],
        || refusing("resources/subscribe"),
    ),
    Fault::new(
        "subscribe-result",
        "answers a subscription with more than an empty result",
        &["resources/subscribe-empty-result"],
        || {
            Box::new(Every("resources/subscribe", |result| {
                *result = json!({ "subscribed": true })
            }))
        },
    ),
    Fault::new(
        "unsubscribe-refused",
        "does not end subscriptions",
        &["resources/unsubscribe-accepted"],
        || refusing("resources/unsubscribe"),
    ),
    Fault::new(
        "updated-unasked",
        "tells about resources to which nobody has subscribed",
        &["resources/updated-only-subscribed"],
        || {
            Box::new(After::new("resources/read", || {
                notification("notifications/resources/updated", json!({ "uri": "docs://notes" }))
            }))
        },
    ),
    Fault::new(
        "updated-bare",
        "tells that a resource has changed, and not which",
        &["resources/updated-shape", "resources/updated-sent"],
        || {
            Box::new(After::new("resources/subscribe", || {
                notification("notifications/resources/updated", json!({}))
            }))
        },
    ),
    Fault::new(
        "updated-undeclared",
        "tells about changes, and declares no subscriptions",
        &["resources/updated-needs-capability"],
        || Box::new(UpdatedUndeclared { due: false }),
    ),
    Fault::new(
        "subscribe-undeclared",
        "takes subscriptions, and declares none",
        &["resources/subscribe-undeclared"],
        || {
            Box::new(Every("initialize", |result| {
                drop(take(&mut result["capabilities"]["resources"], "subscribe"))
            }))
        },
    ),
    Fault::new(
        "resources-changed-extra",
        "sends the resources with the news that they have changed",
        &["resources/list-changed-shape"],
        || {
            Box::new(After::new("resources/list", || {
                notification("notifications/resources/list_changed", json!({ "resources": [] }))
            }))
        },
    ),
    Fault::new(
        "resources-undeclared",
        "serves resources, and declares none",
        &[
            "resources/capability-declared",
            "resources/list-changed-undeclared",
            "tools/embedded-needs-resources",
        ],
        || {
            Box::new(Results(|request, result| {
                if request.method == "initialize" {
                    take(&mut result["capabilities"], "resources");
                }
            }))
        },
    ),
];

fn notes(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Entry("resources/list", "resources", "docs://notes", change))
}

fn template(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Entry(
        "resources/templates/list",
        "resourceTemplates",
        "config://app/{key}",
        change,
    ))
}

fn readme(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Named("resources/read", "docs://readme", change))
}

/// Whether a resource was looked for in vain.
fn missing(request: &Request, response: &Response) -> bool {
    request.method == "resources/read" && response.outcome.as_ref().is_err_and(|error| error.code == -32002)
}

/// Gives away a file outside the exposed folder for URIs that lead out of it.
#[derive(Debug)]
struct Leaking(fn(&str) -> bool);

impl Decorator for Leaking {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let params = params(request);
        let uri = params.get("uri").and_then(Value::as_str);
        if missing(request, &response) && uri.is_some_and(self.0) {
            let passwords = json!({ "uri": "file:///etc/passwd", "text": "root:x:0:0:root:/root:/bin/sh" });
            response.outcome = Ok(json!({ "contents": [passwords] }));
        }
        response
    }
}

/// Answers every request of a method with an internal error.
fn refusing(method: &'static str) -> Box<dyn Decorator> {
    Box::new(Refusing(method))
}

#[derive(Debug)]
struct Refusing(&'static str);

impl Decorator for Refusing {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        if request.method != self.0 {
            return response;
        }
        Response {
            outcome: Err(internal()),
            ..response
        }
    }
}

/// Declares no subscriptions, refuses them, and sends what only they allow.
#[derive(Debug)]
struct UpdatedUndeclared {
    due: bool,
}

impl Decorator for UpdatedUndeclared {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        match (request.method.as_str(), &mut response.outcome) {
            ("initialize", Ok(result)) => drop(take(&mut result["capabilities"]["resources"], "subscribe")),
            ("resources/subscribe", outcome) => *outcome = Err(error(-32601, "Method not found")),
            ("resources/templates/list", _) => self.due = true,
            _ => {}
        }
        response
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if std::mem::take(&mut self.due) {
            let news = notification("notifications/resources/updated", json!({ "uri": "docs://notes" }));
            outputs.push(super::spoil::message(&news));
        }
        outputs
    }
}
