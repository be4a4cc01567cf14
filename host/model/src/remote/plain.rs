//! Models that take no word about how warm they are: newer ones of OpenAI's and of Anthropic's refuse a prompt that has it.

use crate::error::Error;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::BTreeSet;

/// Models that are remembered; of more, each is asked twice.
const MODELS: usize = 256;

/// The word.
const WARMTH: &str = "temperature";

/// Which models of a back end are so.
#[derive(Debug, Default)]
pub(super) struct Plain(Mutex<BTreeSet<String>>);

impl Plain {
    /// Leaves the word out for a model that is known to refuse it.
    pub(super) fn trim(&self, model: &str, body: &mut Value) {
        if self.0.lock().contains(model) {
            remove(body);
        }
    }

    /// Whether a model refused because of that word, which is out of the body now: it may be asked again.
    pub(super) fn learns(&self, model: &str, error: &Error, body: &mut Value) -> bool {
        let named = matches!(error, Error::Unsupported { what, .. } if what.contains(WARMTH));
        if !named || !remove(body) {
            return false;
        }
        let mut known = self.0.lock();
        if known.len() < MODELS {
            known.insert(model.into());
        }
        true
    }
}

fn remove(body: &mut Value) -> bool {
    body.as_object_mut().is_some_and(|body| body.remove(WARMTH).is_some())
}
