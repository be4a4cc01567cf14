//! What a file holds, without its tensors' bytes: for those who read them one by one, from a file that others may change.

use super::{Info, Limits, gguf, safetensors, within};
use crate::{Error, Fault, Result};

/// The tensors of one file, and where in it each of them is.
#[derive(Debug)]
pub struct Catalogue {
    infos: Vec<Info>,
    /// Numbers of the tensors, by their names.
    order: Vec<u32>,
}

/// What is read of a file at first; most headers are shorter.
const FIRST: u64 = 64 << 10;

impl Catalogue {
    /// Reads what comes before the tensors. `read` fills a buffer from an offset; it is asked for no more than the
    /// `length` of the file, and for no byte twice.
    pub fn read(
        file: &str,
        length: u64,
        limits: &Limits,
        read: &mut dyn FnMut(u64, &mut [u8]) -> Result<()>,
    ) -> Result<Self> {
        let mut head = Vec::new();
        let mut want = FIRST;
        loop {
            let from = head.len();
            head.resize(want.min(length) as usize, 0);
            read(from as u64, &mut head[from..])?;
            let parsed = match head.starts_with(gguf::MAGIC) {
                true => gguf::parse(&head, length, file, limits),
                false => safetensors::parse(&head, length, file, limits),
            };
            let error = match parsed {
                Ok(parsed) => return Self::of(parsed.infos),
                Err(error) => error,
            };
            let need = match &error {
                Error::File { fault: Fault::Truncated { need, .. }, .. }
                | Error::Tensor { fault: Fault::Truncated { need, .. }, .. } => *need,
                _ => return Err(error),
            };
            if head.len() as u64 == length {
                return Err(error);
            }
            if need > length {
                return Err(Error::file(file, Fault::Truncated { need, have: length }));
            }
            within("bytes of header", need, limits.header.saturating_add(8))
                .map_err(|fault| Error::file(file, fault))?;
            want = need.max(2 * head.len() as u64).min(limits.header.saturating_add(8));
        }
    }

    /// Bytes of memory that reading takes at most, once `head` bytes of the file are read: those bytes, what is made of
    /// them, and what many small tensors take beside their names.
    pub fn room(head: u64, limits: &Limits) -> u64 {
        const SMALLEST: u64 = 24;
        4096 + 3 * head + (head / SMALLEST).min(limits.tensors) * 512
    }

    fn of(infos: Vec<Info>) -> Result<Self> {
        let mut order: Vec<u32> = (0..infos.len() as u32).collect();
        order.sort_by(|a, b| infos[*a as usize].name.cmp(&infos[*b as usize].name));
        let name = |i: u32| infos[i as usize].name.as_str();
        let twice = order.windows(2).filter(|pair| name(pair[0]) == name(pair[1])).map(|pair| pair[1]).min();
        match twice {
            Some(number) => Err(Error::tensor(name(number), Fault::Twice)),
            None => Ok(Self { infos, order }),
        }
    }

    /// The tensors, in the file's order.
    pub fn infos(&self) -> &[Info] {
        &self.infos
    }

    /// The number of a tensor among [`Self::infos`].
    pub fn find(&self, name: &str) -> Option<usize> {
        let at = self.order.binary_search_by(|i| self.infos[*i as usize].name.as_str().cmp(name)).ok()?;
        Some(self.order[at] as usize)
    }

    /// Bytes of memory that it takes.
    pub fn kept(&self) -> u64 {
        let info = |info: &Info| info.name.capacity() + info.shape.capacity() * 8 + size_of::<Info>() + 32;
        self.infos.iter().map(info).sum::<usize>() as u64 + 1024
    }
}
