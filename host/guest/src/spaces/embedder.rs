//! Vectors of passages and questions, by a model of this machine that the village names.

use memory::Vector;
use model::{Grant, Router};
use std::sync::Arc;
use tokio::time::Instant;

/// A model that makes vectors.
pub(crate) struct Embedder {
    router: Arc<Router>,
    model: String,
    grant: Grant,
}

/// So many texts are handed over at once.
const TOGETHER: usize = 16;

impl Embedder {
    /// The model of that name; none if it is no name.
    pub(crate) fn new(router: Arc<Router>, model: &str) -> Option<Embedder> {
        let grant = Grant::parse([model]).ok()?;
        Some(Embedder { router, model: model.into(), grant })
    }

    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// One vector a text, as far as it gets until then. What is not there is found by its words. The texts stay on this machine.
    pub(crate) async fn embed(&self, texts: &[String], until: Instant) -> Vec<Option<Vector>> {
        let mut vectors = Vec::with_capacity(texts.len());
        for texts in texts.chunks(TOGETHER) {
            if Instant::now() >= until {
                break;
            }
            match self.router.embed(&self.model, texts, true, &self.grant, until).await {
                Ok((_, embedded)) => vectors.extend(embedded.vectors.iter().map(|vector| Vector::of(vector))),
                Err(_) => break,
            }
        }
        vectors.resize(texts.len(), None);
        vectors
    }
}
