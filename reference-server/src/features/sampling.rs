//! Tools that ask the client's model (client/sampling).

use serde_json::{Value, json};

use super::asking::{ask, result, with_token};
use super::tools::{Tool, arguments, no_arguments, text};
use super::{Answer, Object, Session};

/// How often a model may ask for tools in one call.
const MOST_ROUNDS: usize = 5;

pub(super) const TOOLS: &[Tool] = &[Tool {
    name: "test_sampling",
    title: "Ask the model",
    description: "Passes a prompt to the client's model, and returns what it says.",
    read_only: true,
    input: || arguments(json!({ "prompt": { "type": "string" } }), &["prompt"]),
    output: None,
    run: sample,
}];

/// Tools in sampling came with 2025-11-25.
pub(super) const TOOLS_2025_11_25: &[Tool] = &[Tool {
    name: "test_sampling_with_tools",
    title: "Let the model use a tool",
    description: "Lets the client's model use a tool, if the client can do that, and returns what the model says in the end.",
    read_only: true,
    input: no_arguments,
    output: None,
    run: sample_with_tools,
}];

fn sample(session: &mut Session, arguments: &Object, _: Option<&Value>) -> Result<Answer, String> {
    if !session.client_has("/sampling") {
        return Err("The client offers no sampling".to_owned());
    }
    let content = json!({ "type": "text", "text": arguments["prompt"] });
    let params = json!({
        "messages": [{ "role": "user", "content": content }],
        "maxTokens": 100,
        "systemPrompt": "Answer in one sentence.",
        "temperature": 0.5,
        "stopSequences": ["\n\n"],
        "includeContext": "none",
        "metadata": {},
        "modelPreferences": { "hints": [{ "name": "small" }], "costPriority": 0.8, "speedPriority": 1 },
    });
    let params = with_token(session, params);
    Ok(ask("sampling/createMessage", Some(params), |_, reply| {
        let message = checked(result(reply)?)?;
        Ok(text(&format!("LLM response: {}", words(&message)?)))
    }))
}

fn sample_with_tools(session: &mut Session, _: &Object, _: Option<&Value>) -> Result<Answer, String> {
    if !session.client_has("/sampling") {
        return Err("The client offers no sampling".to_owned());
    }
    let question = json!({ "type": "text", "text": "What is the weather in Zurich and in Bern?" });
    Ok(round(session, vec![json!({ "role": "user", "content": question })], 1))
}

/// One turn of the model, and the next one when it wants to use the tool.
fn round(session: &mut Session, messages: Vec<Value>, number: usize) -> Answer {
    let mut params = json!({ "messages": messages, "maxTokens": 100 });
    if session.client_has("/sampling/tools") {
        let schema = arguments(json!({ "city": { "type": "string" } }), &["city"]);
        let output = arguments(json!({ "weather": { "type": "string" } }), &["weather"]);
        params["tools"] = json!([{
            "name": "get_weather",
            "description": "Tells the weather.",
            "inputSchema": schema,
            "outputSchema": output,
        }]);
        // The last turn has to be an answer.
        params["toolChoice"] = json!({ "mode": if number < MOST_ROUNDS { "auto" } else { "none" } });
    }
    let params = with_token(session, params);
    ask("sampling/createMessage", Some(params), move |session, reply| {
        let message = checked(result(reply)?)?;
        let uses: Vec<Value> = blocks(&message)
            .into_iter()
            .filter(|block| block["type"] == "tool_use")
            .map(|block| block["id"].clone())
            .collect();
        if uses.is_empty() {
            return Ok(text(&format!("LLM response: {}", words(&message)?)));
        }
        if number == MOST_ROUNDS {
            return Err(format!("The model still wanted to use tools after {MOST_ROUNDS} turns"));
        }
        let results: Vec<Value> = uses
            .into_iter()
            .map(|id| {
                let structured = json!({ "weather": "Sunny" });
                json!({
                    "type": "tool_result",
                    "toolUseId": id,
                    "content": [{ "type": "text", "text": structured.to_string() }],
                    "structuredContent": structured,
                })
            })
            .collect();
        let mut messages = messages;
        messages.push(json!({ "role": "assistant", "content": message["content"] }));
        messages.push(json!({ "role": "user", "content": results }));
        Ok(round(session, messages, number + 1))
    })
}

/// The message, if it is one. What a model says is input like any other.
pub(super) fn checked(message: Value) -> Result<Value, String> {
    let known = |block: &&Value| match block["type"].as_str() {
        Some("text") => block["text"].is_string(),
        Some("image" | "audio") => block["data"].is_string() && block["mimeType"].is_string(),
        Some("tool_use") => block["id"].is_string() && block["name"].is_string() && block["input"].is_object(),
        _ => false,
    };
    let all = blocks(&message);
    if message["role"] != "assistant" && message["role"] != "user" {
        Err("The model's answer has no role".to_owned())
    } else if all.is_empty() || !all.iter().all(known) {
        Err("The model's answer has content of a kind that is not known".to_owned())
    } else {
        Ok(message)
    }
}

/// The content as a list: from 2025-11-25 it may be one.
fn blocks(message: &Value) -> Vec<&Value> {
    match &message["content"] {
        Value::Array(blocks) => blocks.iter().collect(),
        block => vec![block],
    }
}

pub(super) fn words(message: &Value) -> Result<String, String> {
    let texts: Vec<&str> = blocks(message)
        .iter()
        .filter_map(|block| block["text"].as_str())
        .collect();
    match texts.is_empty() {
        true => Err("The model's answer has no text".to_owned()),
        false => Ok(texts.join(" ")),
    }
}
