//! What a call brings: its inputs one after the other, and the parameters that say where they are.

use std::borrow::Cow;

use crate::backend::{Backend, Cpu, Cut, Stretch};
use crate::{Format, Result};

/// Words of the parameters; see `prelude.wgsl`.
pub(super) const PARAMS: usize = 280;
const MODELS_AT: usize = 16;
const MODEL_WORDS: usize = 12;
const STEPS_AT: usize = 256;
const TO_BF16: u32 = 4;
const TO_F16: u32 = 8;

/// An input begins at a multiple of so many bytes: eight singles, which are what an invocation reads.
const ALIGN: usize = 32;

/// The room that so many bytes of input take.
pub(super) fn room(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN)
}

/// All inputs of a call.
pub(super) struct Inputs<'a> {
    pub(super) arena: Vec<Cow<'a, [u8]>>,
    pub(super) params: Vec<u32>,
    pub(super) count: usize,
}

impl<'a> Inputs<'a> {
    pub(super) fn new(count: usize) -> Self {
        let mut params = vec![0; PARAMS];
        params[0] = count as u32;
        for step in 0..=20 {
            let wanted = -1.0f32 + 0.1 * step as f32 + 15.0;
            params[STEPS_AT + step] = wanted.to_bits();
        }
        Self { arena: Vec::new(), params, count }
    }

    /// Says to the kernel that has the numbers last how to write them.
    pub(super) fn keep_as(&mut self, format: Format) {
        self.params[4] |= match format {
            Format::Bf16 => TO_BF16,
            Format::F16 => TO_F16,
            _ => 0,
        };
    }

    /// The words of one model.
    pub(super) fn model(&mut self, number: usize, words: &[u32]) {
        let at = MODELS_AT + number * MODEL_WORDS;
        self.params[at..at + words.len()].copy_from_slice(words);
    }

    /// Where the next input will be, in words.
    fn place(&self) -> u32 {
        (self.arena.iter().map(|bytes| room(bytes.len())).sum::<usize>() / 4) as u32
    }

    /// Adds an input; its place and the number of its format.
    pub(super) fn add(&mut self, input: Stretch<'a>, cpu: &Cpu) -> Result<[u32; 2]> {
        let place = self.place();
        let format = match input.format {
            Format::F32 => 0,
            Format::Bf16 => 1,
            Format::F16 => 2,
            _ => {
                let mut values = vec![0.0f32; self.count];
                cpu.dequantize(input, &mut values)?;
                self.arena.push(bytemuck::cast_slice(&values).to_vec().into());
                return Ok([place, 0]);
            }
        };
        self.arena.push(input.bytes.into());
        Ok([place, format])
    }

    pub(super) fn cut(&self, cut: Cut, from: u64) -> [u32; 2] {
        let index = cut.index.saturating_sub(from).min(self.count as u64);
        [cut.bits, index as u32]
    }

    /// A mask of this stretch alone, one bit an element.
    pub(super) fn mask(&mut self, kept: impl Fn(u64) -> bool, from: u64) -> u32 {
        let place = self.place();
        let mut bits = vec![0u8; self.count.div_ceil(32) * 4];
        for i in 0..self.count {
            bits[i / 8] |= u8::from(kept(from + i as u64)) << (i % 8);
        }
        self.arena.push(bits.into());
        place
    }
}
