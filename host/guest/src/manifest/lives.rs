//! `[turns]` and `[replicas]`: an agent's own in `agent.toml`, and what `village.toml` says over them.

use super::{Problem, stray, string};
use crate::replicas::{self, Bounds};
use crate::turns::{self, Turns};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads the fields of `[turns]`, each as it would be written. Whether they fit together is seen with the others.
pub fn read_turns(table: &DeTable<'_>) -> Result<Vec<(String, String)>, Problem> {
    let mut turns = Turns::default();
    let each = table.iter().map(|(key, value)| {
        let field = key.get_ref().as_ref();
        Ok((field.to_string(), set_turns(&mut turns, field, key.span().start, value)?))
    });
    each.collect()
}

/// Sets one field; answers its text.
pub(super) fn set_turns(
    turns: &mut Turns,
    field: &str,
    at: usize,
    value: &Spanned<DeValue<'_>>,
) -> Result<String, Problem> {
    let text = match value.get_ref() {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::String(text) => text.to_string(),
        _ => match turns.fields().iter().find(|(name, _)| *name == field) {
            Some((_, example)) => string(field, example, value)?,
            None => String::new(),
        },
    };
    turns.set(field, &text).map_err(|error| match error {
        turns::Error::Unknown { .. } => (at, stray("turns field", field, "turns", &turns::FIELDS)),
        error => (value.span().start, error.to_string()),
    })?;
    Ok(text)
}

/// Reads `[replicas]`: how many instances serve the mailbox.
pub fn read_replicas(table: &DeTable<'_>) -> Result<Bounds, Problem> {
    let (mut bounds, mut last) = (Bounds::default(), 0);
    for (key, value) in table {
        let (set, field) = match key.get_ref().as_ref() {
            "min" => (&mut bounds.min, "min"),
            "max" => (&mut bounds.max, "max"),
            other => return Err((key.span().start, stray("key", other, "replicas", &replicas::FIELDS))),
        };
        let text = match value.get_ref() {
            DeValue::Integer(number) => number.to_string(),
            DeValue::String(text) => text.to_string(),
            _ => string(field, "4", value)?,
        };
        last = last.max(value.span().start);
        *set = Some(replicas::number(field, &text).map_err(|error| (value.span().start, error.to_string()))?);
    }
    if let (Some(min), Some(max)) = (bounds.min, bounds.max) {
        replicas::checked(min, max).map_err(|error| (last, error.to_string()))?;
    }
    Ok(bounds)
}
