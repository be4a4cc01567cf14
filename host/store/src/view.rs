//! What is stored, as the newest layer, the frozen one and the tree have it together.

use crate::Error;
use crate::layer::{Keys, Layer, Rows};
use crate::tree::{Row, Snapshot};
use std::iter::Peekable;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The places to look at, the newest first. Every one hides what those after it say of the same key.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) active: Arc<Layer>,
    pub(crate) frozen: Option<Arc<Layer>>,
    pub(crate) tree: Arc<Snapshot>,
}

/// Which end a scan begins at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    First,
    Last,
}

/// Looks at a row, its key and its value, and says whether to go on.
pub(crate) type Each<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

impl View {
    /// Looks at a row in some version.
    pub(crate) fn find<R>(&self, key: &[u8], version: u64, look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, Error> {
        for layer in [Some(&self.active), self.frozen.as_ref()].into_iter().flatten() {
            let rows = layer.rows.read();
            if let Some(value) = rows.find(key, version) {
                return Ok(look(value));
            }
        }
        self.tree.find(key, look)
    }

    /// Shows the rows among `keys` to `each`, in order, until it breaks. The layers are locked meanwhile.
    pub(crate) fn scan(&self, keys: &Keys, version: u64, from: From, each: &mut Each<'_>) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let active = self.active.rows.read();
        let frozen = self.frozen.as_ref().map(|layer| layer.rows.read());
        let tree = self.tree.range(keys)?;
        let mut merge = Merge {
            layers: [
                rows(Some(&active), keys, version, from).peekable(),
                rows(frozen.as_deref(), keys, version, from).peekable(),
            ],
            tree: match from {
                From::First => (Box::new(tree) as TreeRows<'_>).peekable(),
                From::Last => (Box::new(tree.rev()) as TreeRows<'_>).peekable(),
            },
            from,
        };
        merge.run(each)
    }
}

type LayerRows<'a> = Box<dyn Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + 'a>;
type TreeRows<'a> = Box<dyn Iterator<Item = Result<Row, Error>> + 'a>;

fn rows<'a>(layer: Option<&'a Rows>, keys: &Keys, version: u64, from: From) -> LayerRows<'a> {
    match (layer, from) {
        (None, _) => Box::new(std::iter::empty()),
        (Some(rows), From::First) => Box::new(rows.range(keys, version)),
        (Some(rows), From::Last) => Box::new(rows.range(keys, version).rev()),
    }
}

struct Merge<'a> {
    layers: [Peekable<LayerRows<'a>>; 2],
    tree: Peekable<TreeRows<'a>>,
    from: From,
}

impl Merge<'_> {
    fn run(&mut self, each: &mut Each<'_>) -> Result<(), Error> {
        loop {
            // The next key is the first, or the last, that any of them has.
            let mut next: Option<Vec<u8>> = None;
            let better = |key: &[u8], next: &Option<Vec<u8>>| match (next, self.from) {
                (None, _) => true,
                (Some(next), From::First) => key < next.as_slice(),
                (Some(next), From::Last) => key > next.as_slice(),
            };
            for layer in &mut self.layers {
                if let Some((key, _)) = layer.peek()
                    && better(key, &next)
                {
                    next = Some(key.to_vec());
                }
            }
            match self.tree.peek() {
                Some(Ok((key, _))) if better(key.value(), &next) => next = Some(key.value().into()),
                Some(Err(error)) => return Err(error.clone()),
                _ => {}
            }
            let Some(key) = next else { return Ok(()) };
            if self.take(&key, each)?.is_break() {
                return Ok(());
            }
        }
    }

    /// Takes `key` off all that have it, and shows what the newest says.
    fn take(&mut self, key: &[u8], each: &mut Each<'_>) -> Result<ControlFlow<()>, Error> {
        let mut newest: Option<Option<&[u8]>> = None;
        for layer in &mut self.layers {
            if let Some((_, value)) = layer.next_if(|(found, _)| *found == key) {
                newest.get_or_insert(value);
            }
        }
        let stored = self.tree.next_if(|row| row.as_ref().is_ok_and(|(found, _)| found.value() == key)).transpose()?;
        Ok(match (newest, &stored) {
            (Some(Some(value)), _) => each(key, value),
            (None, Some((_, value))) => each(key, value.value()),
            _ => ControlFlow::Continue(()),
        })
    }
}
