//! The stateless era (2026-07-28): what every request says about itself in `params._meta`, in place of a handshake.

use serde_json::Value;

/// What an identifier of MCP begins with.
const PREFIX: &str = "io.modelcontextprotocol/";
/// The member that names the stream to which a message belongs.
pub(super) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
/// The extension for tasks.
pub(super) const TASKS: &str = "io.modelcontextprotocol/tasks";
/// The extension for user interfaces.
pub(super) const UI: &str = "io.modelcontextprotocol/ui";
/// Methods whose result may ask for input first.
pub(super) const MAY_ASK: [&str; 3] = ["tools/call", "prompts/get", "resources/read"];

/// A member of the `_meta` of a request that MCP defines.
pub(super) fn claim<'m>(request: &'m Value, name: &str) -> Option<&'m Value> {
    let meta = request.get("params")?.get("_meta")?.as_object()?;
    meta.iter()
        .find(|(key, _)| key.strip_prefix(PREFIX) == Some(name))
        .map(|(_, value)| value)
}

/// The version that the request is to be served under.
pub(super) fn version(request: &Value) -> Option<&str> {
    claim(request, "protocolVersion")?.as_str()
}

/// What the client can do for this request.
pub(super) fn capabilities(request: &Value) -> Option<&Value> {
    claim(request, "clientCapabilities")
}

/// Whether the client of this request knows an extension.
pub(super) fn knows_extension(request: &Value, extension: &str) -> bool {
    capabilities(request)
        .and_then(|capabilities| capabilities.get("extensions")?.get(extension))
        .is_some()
}

/// Whether the request lacks what every request needs.
pub(super) fn lacks_metadata(request: &Value) -> bool {
    version(request).is_none() || capabilities(request).is_none()
}

/// The subscription that a notification or a result says that it belongs to.
pub(super) fn subscription(message: &Value) -> Option<&Value> {
    let holder = message.get("params").or_else(|| message.get("result"))?;
    holder.get("_meta")?.get(SUBSCRIPTION)
}

/// What kind of result it is; `None` where it does not say.
pub(super) fn result_type(result: &Value) -> Option<&str> {
    result.get("resultType")?.as_str()
}

/// The requests that are embedded in a result, each with its key.
pub(super) fn input_requests(result: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let asks = result_type(result) == Some("input_required");
    let requests = result.get("inputRequests").filter(|_| asks).and_then(Value::as_object);
    requests
        .into_iter()
        .flatten()
        .map(|(key, request)| (key.as_str(), request))
}
