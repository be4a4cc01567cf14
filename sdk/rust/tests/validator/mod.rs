//! As much of JSON Schema 2020-12 as the SDK writes. A keyword that is not known here fails, so that none is passed over.

use serde_json::Value;

/// Keywords that only describe.
const DESCRIPTIONS: [&str; 5] = ["description", "title", "default", "format", "$defs"];

/// Whether a value fits; if not, why.
pub(crate) fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    check(schema, schema, value, &mut Vec::new())
}

/// Adds to `seen` the properties that the schema has something to say about.
fn check(root: &Value, schema: &Value, value: &Value, seen: &mut Vec<String>) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else {
        return if schema == true { Ok(()) } else { Err(format!("nothing fits here, and there is {value}")) };
    };
    for (keyword, wanted) in keywords {
        let holds = match keyword.as_str() {
            "type" => has_type(wanted, value),
            "const" => wanted == value,
            "enum" => list(wanted).contains(value),
            "$ref" => {
                let target = wanted.as_str().and_then(|path| root.pointer(path.trim_start_matches('#')));
                check(root, target.ok_or(format!("{wanted} leads nowhere"))?, value, seen)?;
                true
            }
            "anyOf" => among(root, wanted, value, seen) >= 1,
            "oneOf" => among(root, wanted, value, seen) == 1,
            "allOf" => {
                list(wanted).iter().try_for_each(|all| check(root, all, value, seen))?;
                true
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= float(wanted)),
            "maximum" => value.as_f64().is_none_or(|number| number <= float(wanted)),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as f64 >= float(wanted)),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as f64 <= float(wanted)),
            "minItems" => value.as_array().is_none_or(|items| items.len() as f64 >= float(wanted)),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as f64 <= float(wanted)),
            "uniqueItems" => {
                value.as_array().is_none_or(|items| (1..items.len()).all(|at| !items[..at].contains(&items[at])))
            }
            "prefixItems" => {
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                let pairs = list(wanted).iter().zip(items);
                pairs.into_iter().try_for_each(|(schema, item)| fits_in(root, schema, item))?;
                true
            }
            "items" => {
                let before = schema["prefixItems"].as_array().map_or(0, Vec::len);
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                items.iter().skip(before).try_for_each(|item| fits_in(root, wanted, item))?;
                true
            }
            "required" => {
                value.as_object().is_none_or(|object| list(wanted).iter().all(|name| object.contains_key(text(name))))
            }
            "properties" => properties(root, wanted, value, seen)?,
            "additionalProperties" => others(root, wanted, value, &names(&schema["properties"]))?,
            // Looked at last, when all others have said what they know.
            "unevaluatedProperties" => true,
            known if DESCRIPTIONS.contains(&known) => true,
            other => return Err(format!("the keyword `{other}` is not known here")),
        };
        if !holds {
            return Err(format!("`{keyword}`: {wanted} against {value}"));
        }
    }
    match keywords.get("unevaluatedProperties") {
        Some(wanted) => others(root, wanted, value, seen).map(|_| ()),
        None => Ok(()),
    }
}

fn fits_in(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    check(root, schema, value, &mut Vec::new())
}

/// How many of the schemas the value fits.
fn among(root: &Value, schemas: &Value, value: &Value, seen: &mut Vec<String>) -> usize {
    let mut count = 0;
    for schema in list(schemas) {
        let mut here = Vec::new();
        if check(root, schema, value, &mut here).is_ok() {
            seen.extend(here);
            count += 1;
        }
    }
    count
}

fn properties(root: &Value, wanted: &Value, value: &Value, seen: &mut Vec<String>) -> Result<bool, String> {
    let Some(object) = value.as_object() else { return Ok(true) };
    for (name, schema) in wanted.as_object().into_iter().flatten() {
        seen.push(name.clone());
        if let Some(value) = object.get(name) {
            fits_in(root, schema, value)?;
        }
    }
    Ok(true)
}

fn others(root: &Value, wanted: &Value, value: &Value, known: &[String]) -> Result<bool, String> {
    let object = value.as_object().into_iter().flatten();
    let mut others = object.filter(|(name, _)| !known.contains(name));
    others.try_for_each(|(_, value)| fits_in(root, wanted, value))?;
    Ok(true)
}

fn has_type(wanted: &Value, value: &Value) -> bool {
    if let Some(any) = wanted.as_array() {
        return any.iter().any(|one| has_type(one, value));
    }
    match text(wanted) {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

fn names(properties: &Value) -> Vec<String> {
    properties.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("the keyword has a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("the keyword has a text")
}

fn float(value: &Value) -> f64 {
    value.as_f64().expect("the keyword has a number")
}
