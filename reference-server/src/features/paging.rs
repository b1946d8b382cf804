//! Lists in pages, with cursors that only this server can make sense of (server/utilities/pagination).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Object;
use crate::envelope::RpcError;

/// The page of `items` that the cursor in `params` asks for, under the name `member`.
///
/// A cursor counts only when it is one that this very list has handed out or could have.
pub(super) fn page(member: &str, items: Vec<Value>, size: usize, params: &Object) -> Result<Value, RpcError> {
    let start = match params.get("cursor") {
        None => 0,
        Some(cursor) => (size..items.len())
            .step_by(size)
            .find(|start| cursor.as_str() == Some(cursor_at(member, *start).as_str()))
            .ok_or_else(|| RpcError::invalid_params("Invalid params: the cursor is not one this list has given out"))?,
    };
    let end = items.len().min(start.saturating_add(size));
    let mut result = json!({ member: items[start..end] });
    if end < items.len() {
        result["nextCursor"] = json!(cursor_at(member, end));
    }
    Ok(result)
}

fn cursor_at(member: &str, start: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("{member} from {start}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_comes_once_whatever_the_page_size() {
        for size in 1..6 {
            let mut seen = Vec::new();
            let mut params = Object::new();
            loop {
                let result = page("items", (0..4).map(Value::from).collect(), size, &params).unwrap();
                seen.extend(result["items"].as_array().unwrap().clone());
                let Some(cursor) = result.get("nextCursor") else { break };
                params.insert("cursor".to_owned(), cursor.clone());
            }
            assert_eq!(seen, (0..4).map(Value::from).collect::<Vec<_>>());
        }
    }

    #[test]
    fn foreign_cursors_are_refused() {
        let other_list = cursor_at("others", 2);
        for cursor in [json!("made up"), json!(3), json!(null), json!(""), json!(other_list)] {
            let params = Object::from_iter([("cursor".to_owned(), cursor)]);
            let refused = page("items", vec![json!(1); 5], 2, &params).unwrap_err();
            assert_eq!(refused.code, -32602);
        }
    }
}
