//! Building a value from a schema and a source of choices.

use serde_json::{Map, Number, Value};

use crate::generator::Unsupported;
use crate::shape::{flatten, merge, types};
use crate::source::Source;
use crate::string;

/// Deepest value that is built; below it optional parts are left out.
const DEEPEST: usize = 12;
/// Most items or members that are built.
pub(crate) const MOST_ITEMS: u64 = 64;
/// Longest string that is built, in characters.
pub(crate) const LONGEST: u64 = 10_000;
/// Largest number that is built when there is no bound.
const FAR: i64 = 1_000_000;

pub(crate) fn build(
    schema: &Value,
    root: &Value,
    source: &mut Source<'_, '_>,
    depth: usize,
) -> Result<Value, Unsupported> {
    if depth > DEEPEST * 2 {
        return Err(Unsupported("the schema demands endless nesting".to_owned()));
    }
    let mut flat =
        flatten(schema, root).ok_or_else(|| Unsupported("a part of the schema allows nothing".to_owned()))?;
    for keyword in ["anyOf", "oneOf"] {
        if let Some(Value::Array(branches)) = flat.remove(keyword) {
            let branch = choose(&branches, root, source).ok_or_else(|| Unsupported(format!("{keyword} is empty")))?;
            let branch = flatten(branch, root).ok_or_else(|| Unsupported("a branch allows nothing".to_owned()))?;
            merge(&mut flat, branch);
            return build(&Value::Object(flat), root, source, depth + 1);
        }
    }
    if let Some(constant) = flat.get("const") {
        return Ok(constant.clone());
    }
    if let Some(Value::Array(allowed)) = flat.get("enum") {
        return allowed
            .get(source.pick(allowed.len()))
            .cloned()
            .ok_or_else(|| Unsupported("an enum is empty".to_owned()));
    }
    if !source.is_tape() {
        let example = flat
            .get("examples")
            .and_then(|examples| examples.get(0))
            .or_else(|| flat.get("default"));
        if let Some(example) = example.filter(|example| !example.is_null()) {
            return Ok(example.clone());
        }
    }
    let types = types(&flat);
    match types.get(source.pick(types.len())).map(String::as_str) {
        Some("object") => object(&flat, root, source, depth),
        Some("array") => array(&flat, root, source, depth),
        Some("string") => string::build(&flat, source).map(Value::String),
        Some("integer") => integer(&flat, source),
        Some("number") => number(&flat, source),
        Some("boolean") => Ok(Value::Bool(source.include())),
        Some("null") => Ok(Value::Null),
        other => Err(Unsupported(format!("the type {other:?} is unknown"))),
    }
}

/// A branch of a choice; without a tape the first that is not null.
fn choose<'a>(branches: &'a [Value], root: &Value, source: &mut Source<'_, '_>) -> Option<&'a Value> {
    if source.is_tape() {
        return branches.get(source.pick(branches.len()));
    }
    let is_null = |branch: &&Value| {
        flatten(branch, root).is_some_and(|flat| flat.get("type").and_then(Value::as_str) == Some("null"))
    };
    branches.iter().find(|branch| !is_null(branch)).or(branches.first())
}

/// The bounds of a number, both included. Exclusive ones may be numbers (2020-12) or flags (draft-04).
pub(crate) fn bounds(schema: &Map<String, Value>, step: f64) -> (Option<f64>, Option<f64>) {
    let get = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let flag = |keyword: &str| schema.get(keyword) == Some(&Value::Bool(true));
    let mut least = get("minimum");
    let mut most = get("maximum");
    if flag("exclusiveMinimum") {
        least = least.map(|least| least + step);
    }
    if flag("exclusiveMaximum") {
        most = most.map(|most| most - step);
    }
    if let Some(open) = get("exclusiveMinimum") {
        least = Some(least.map_or(open + step, |least| least.max(open + step)));
    }
    if let Some(open) = get("exclusiveMaximum") {
        most = Some(most.map_or(open - step, |most| most.min(open - step)));
    }
    (least, most)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "floats beyond i64 saturate, and the judge decides about the value"
)]
fn integer(schema: &Map<String, Value>, source: &mut Source<'_, '_>) -> Result<Value, Unsupported> {
    let (least, most) = bounds(schema, 1.0);
    let least = least.map_or_else(
        || most.map_or(-FAR, |most| (most as i64).saturating_sub(FAR)),
        |least| least.ceil() as i64,
    );
    let most = most.map_or(least.saturating_add(FAR), |most| most.floor() as i64);
    if least > most {
        return Err(Unsupported("no integer lies between the bounds".to_owned()));
    }
    let value = source.number(least.min(most), most);
    let value = match schema
        .get("multipleOf")
        .and_then(Value::as_i64)
        .filter(|step| *step > 0)
    {
        Some(step) => {
            let down = value.div_euclid(step) * step;
            if down >= least { down } else { down.saturating_add(step) }
        }
        None => value,
    };
    Ok(Value::from(value))
}

fn number(schema: &Map<String, Value>, source: &mut Source<'_, '_>) -> Result<Value, Unsupported> {
    let (least, most) = bounds(schema, 0.5);
    if let Some(step) = schema
        .get("multipleOf")
        .and_then(Value::as_f64)
        .filter(|step| *step > 0.0)
    {
        let least = least.unwrap_or(0.0);
        let value = (least / step).ceil() * step;
        return float(value);
    }
    let fraction = source.number(0, 1000);
    match (least, most) {
        (Some(least), Some(most)) if least > most => Err(Unsupported("no number lies between the bounds".to_owned())),
        #[expect(clippy::cast_precision_loss, reason = "a thousandth of a range is exact enough")]
        (Some(least), Some(most)) => float(if source.is_tape() {
            least + (most - least) * (fraction as f64 / 1000.0)
        } else {
            least.max(0.0).min(most)
        }),
        (Some(least), None) => float(if least <= 0.0 { 0.0 } else { least }),
        (None, Some(most)) => float(if most >= 0.0 { 0.0 } else { most }),
        #[expect(clippy::cast_precision_loss, reason = "the range is small")]
        (None, None) => float(source.number(-FAR, FAR) as f64 / if source.is_tape() { 8.0 } else { 1.0 }),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "only numbers without fraction and within the range of i64 are cast"
)]
fn float(value: f64) -> Result<Value, Unsupported> {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Ok(Value::from(value as i64));
    }
    Number::from_f64(value)
        .map(Value::Number)
        .ok_or_else(|| Unsupported("a bound is no finite number".to_owned()))
}

/// A bound on lengths and counts, refused when it is larger than what is built.
pub(crate) fn length(schema: &Map<String, Value>, keyword: &str, cap: u64) -> Result<Option<u64>, Unsupported> {
    let Some(value) = schema.get(keyword).and_then(Value::as_f64) else {
        return Ok(None);
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "negative and huge bounds saturate"
    )]
    let value = value as u64;
    if keyword.starts_with("min") && value > cap {
        return Err(Unsupported(format!(
            "{keyword} {value} is larger than the {cap} that are built"
        )));
    }
    Ok(Some(value.min(cap)))
}

fn array(
    schema: &Map<String, Value>,
    root: &Value,
    source: &mut Source<'_, '_>,
    depth: usize,
) -> Result<Value, Unsupported> {
    let least = length(schema, "minItems", MOST_ITEMS)?.unwrap_or(0);
    let most = length(schema, "maxItems", MOST_ITEMS)?.unwrap_or(least + 3).max(least);
    let prefix: &[Value] = schema
        .get("prefixItems")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice);
    let wanted = if depth > DEEPEST {
        least
    } else if matches!(source, Source::Everything) {
        least.max(1).min(most)
    } else {
        u64::try_from(source.number(i64::try_from(least).unwrap_or(0), i64::try_from(most).unwrap_or(0)))
            .unwrap_or(least)
    };
    let wanted = wanted
        .max(least)
        .max(if schema.contains_key("contains") { 1 } else { 0 });
    let any = Value::Bool(true);
    let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
    let mut items: Vec<Value> = Vec::new();
    for index in 0..usize::try_from(wanted).unwrap_or(0) {
        let item = match prefix.get(index) {
            Some(item) => item,
            None if index == 0 && schema.contains_key("contains") => schema.get("contains").unwrap_or(&any),
            None => match schema.get("items") {
                Some(Value::Array(tuple)) => tuple.get(index).unwrap_or(&any),
                Some(item) => item,
                None => &any,
            },
        };
        let mut value = build(item, root, source, depth + 1)?;
        if unique && items.contains(&value) {
            value = distinct(&value, index, item, root);
            if items.contains(&value) {
                break;
            }
        }
        items.push(value);
    }
    Ok(Value::Array(items))
}

/// A value like the given one, but different.
fn distinct(value: &Value, index: usize, schema: &Value, root: &Value) -> Value {
    let flat = flatten(schema, root).unwrap_or_default();
    if let Some(Value::Array(allowed)) = flat.get("enum") {
        return allowed.get(index).cloned().unwrap_or_else(|| value.clone());
    }
    let step = flat.get("multipleOf").and_then(Value::as_i64).unwrap_or(1);
    let index_steps = i64::try_from(index).unwrap_or(1).saturating_mul(step);
    match value {
        Value::String(text) => Value::String(format!("{text}{index}")),
        Value::Number(number) => number.as_i64().map_or_else(
            || value.clone(),
            |number| Value::from(number.saturating_add(index_steps)),
        ),
        Value::Bool(flag) => Value::Bool(!flag),
        other => other.clone(),
    }
}

fn object(
    schema: &Map<String, Value>,
    root: &Value,
    source: &mut Source<'_, '_>,
    depth: usize,
) -> Result<Value, Unsupported> {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut members = Map::new();
    for (name, property) in properties {
        if required.contains(&name.as_str()) {
            members.insert(name.clone(), build(property, root, source, depth + 1)?);
        } else if depth < DEEPEST && source.include() {
            // An optional part that cannot be built is left out.
            if let Ok(value) = build(property, root, source, depth + 1) {
                members.insert(name.clone(), value);
            }
        }
    }
    let any = Value::Bool(true);
    let additional = schema.get("additionalProperties").unwrap_or(&any);
    for name in required.iter().filter(|name| !properties.contains_key(**name)) {
        members.insert((*name).to_owned(), build(additional, root, source, depth + 1)?);
    }
    for (name, needed) in schema
        .get("dependentRequired")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if members.contains_key(name) {
            for name in needed.as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !members.contains_key(name) {
                    members.insert(
                        name.to_owned(),
                        build(properties.get(name).unwrap_or(additional), root, source, depth + 1)?,
                    );
                }
            }
        }
    }
    let least = length(schema, "minProperties", MOST_ITEMS)?.unwrap_or(0);
    let mut spare = properties.iter();
    while (members.len() as u64) < least {
        match spare.next() {
            Some((name, property)) if !members.contains_key(name) => {
                members.insert(name.clone(), build(property, root, source, depth + 1)?);
            }
            Some(_) => {}
            None if *additional == Value::Bool(false) => break,
            None => {
                members.insert(
                    format!("member{}", members.len()),
                    build(additional, root, source, depth + 1)?,
                );
            }
        }
    }
    Ok(Value::Object(members))
}
