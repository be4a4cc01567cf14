//! Vectors of what agents remember, by the model of this machine that the village names.

use crate::thinking::apart;
use crate::tokens::Tokens;
use memory::Vector;
use model::{Grant, Router, guess};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// A model that makes vectors.
pub(crate) struct Embedder {
    router: Arc<Router>,
    model: String,
    grant: Grant,
    io: Handle,
}

/// Why texts have no vectors.
enum Without {
    /// One of them is more than the model reads, or nothing to it.
    Unfit,
    /// The model or the tokens are not there.
    Off,
}

/// So many texts are handed over at once.
const TOGETHER: usize = 16;

/// A text that is too long for the model is cut to a half so often: what it begins with says what it is about.
const HALVES: u32 = 5;

/// Whether this names one model of this machine, such as `local/minilm`.
pub fn local_model(model: &str) -> bool {
    model.starts_with("local/") && !model.contains('*') && Grant::parse([model]).is_ok()
}

impl Embedder {
    /// The model of that name; none if it is no name.
    pub(crate) fn new(router: Arc<Router>, model: &str, io: Handle) -> Option<Embedder> {
        let grant = Grant::parse([model]).ok()?;
        Some(Embedder { router, model: model.into(), grant, io })
    }

    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// One vector a text, as far as it gets until then and by these tokens. What is not there is found by its words.
    /// The texts stay on this machine.
    pub(crate) async fn embed(&self, tokens: &Tokens, texts: &[String], until: Instant) -> Vec<Option<Vector>> {
        let mut vectors = Vec::with_capacity(texts.len());
        for texts in texts.chunks(TOGETHER) {
            match self.part(tokens, texts.to_vec(), until).await {
                Ok(part) => vectors.extend(part),
                Err(Without::Off) => break,
                Err(Without::Unfit) => {
                    for text in texts {
                        vectors.push(self.alone(tokens, text, until).await);
                    }
                }
            }
        }
        vectors.resize(texts.len(), None);
        vectors
    }

    /// The vector of one text, or of what it begins with.
    async fn alone(&self, tokens: &Tokens, text: &str, until: Instant) -> Option<Vector> {
        for halves in 0..=HALVES {
            let begin = &text[..text.floor_char_boundary(text.len() >> halves)];
            match self.part(tokens, vec![begin.to_owned()], until).await {
                Ok(mut part) => return part.pop().flatten(),
                Err(Without::Off) => return None,
                Err(Without::Unfit) => {}
            }
        }
        None
    }

    async fn part(&self, tokens: &Tokens, texts: Vec<String>, until: Instant) -> Result<Vec<Option<Vector>>, Without> {
        let (count, bytes) = (texts.len(), texts.iter().map(String::len).sum());
        let aside = tokens.set_aside(guess(bytes) + count as u64).map_err(|_| Without::Off)?;
        let (router, model, grant) = (self.router.clone(), self.model.clone(), self.grant.clone());
        let work = async move { router.embed(&model, &texts, true, &grant, until).await };
        match apart(&self.io, work).await {
            Ok(Ok((_, embedded))) if embedded.vectors.len() == count => {
                aside.settle(embedded.tokens);
                Ok(embedded.vectors.iter().map(|vector| Vector::of(vector)).collect())
            }
            Ok(Err(model::Error::TooLong { .. } | model::Error::Invalid { .. })) => Err(Without::Unfit),
            _ => Err(Without::Off),
        }
    }
}
