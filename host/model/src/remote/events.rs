//! Server-sent events, as they arrive.

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Empty if it has none.
    pub(super) name: String,
    pub(super) data: String,
}

/// An event is no larger than this.
const LARGEST: usize = 4 << 20;

/// What has arrived, and is no whole event yet.
#[derive(Default)]
pub(super) struct Events {
    buffer: Vec<u8>,
    /// Up to here the buffer is used up.
    used: usize,
    /// Up to here no line ends.
    looked: usize,
    name: String,
    data: Option<String>,
    /// A line ended with a carriage return; a line feed after it belongs to it.
    returned: bool,
}

impl Events {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.buffer.drain(..self.used);
        self.looked -= self.used;
        self.used = 0;
        let held = self.buffer.len() + self.data.as_ref().map_or(0, String::len);
        if held > LARGEST {
            return Err("an event is too large");
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole event; none until more has arrived.
    pub(super) fn next(&mut self) -> Result<Option<Event>, &'static str> {
        while let Some((from, to)) = self.line() {
            let line = std::str::from_utf8(&self.buffer[from..to]).map_err(|_| "an event is not text")?;
            if line.is_empty() {
                let name = std::mem::take(&mut self.name);
                if let Some(data) = self.data.take() {
                    return Ok(Some(Event { name, data }));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => self.name = value.into(),
                // llama.cpp says so what went wrong in the midst of an answer.
                "error" => {
                    self.name = "error".into();
                    self.data = Some(value.into());
                }
                "data" => match &mut self.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                        if data.len() > LARGEST {
                            return Err("an event is too large");
                        }
                    }
                    None => self.data = Some(value.into()),
                },
                // Comments, ids, and what is not known.
                _ => {}
            }
        }
        Ok(None)
    }

    /// Where the next whole line is.
    fn line(&mut self) -> Option<(usize, usize)> {
        if self.returned && self.buffer.get(self.used).is_some() {
            self.returned = false;
            if self.buffer[self.used] == b'\n' {
                self.used += 1;
                self.looked = self.looked.max(self.used);
            }
        }
        let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let Some(end) = self.buffer[self.looked..].iter().position(ends) else {
            self.looked = self.buffer.len();
            return None;
        };
        let (from, to) = (self.used, self.looked + end);
        self.returned = self.buffer[to] == b'\r';
        self.used = to + 1;
        self.looked = self.used;
        Some((from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<(String, String)>, &'static str> {
        let (mut events, mut all) = (Events::default(), Vec::new());
        for piece in pieces {
            events.push(piece)?;
            while let Some(Event { name, data }) = events.next()? {
                all.push((name, data));
            }
        }
        Ok(all)
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let text =
            ": hello\nevent: a\ndata: one\ndata:two\n\ndata: {\"x\":\"ü\"}\r\n\r\n\n\nid: 7\rdata: x\r\rdata: half";
        let whole = read(&[text.as_bytes()]).expect("it is read");
        let event = |name: &str, data: &str| (name.to_string(), data.to_string());
        assert_eq!(whole, [event("a", "one\ntwo"), event("", "{\"x\":\"ü\"}"), event("", "x")]);
        for size in 1..9 {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(read(&pieces).as_ref(), Ok(&whole), "pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_refused() {
        let piece = vec![b'x'; 1 << 20];
        let pieces: Vec<&[u8]> = (0..8).map(|_| piece.as_slice()).collect();
        assert_eq!(read(&pieces), Err("an event is too large"));
        let mut lines = [b"data: ".as_slice(), &piece, b"\n"].concat();
        lines = lines.repeat(8);
        assert_eq!(read(&[&lines]), Err("an event is too large"));
        assert_eq!(read(&[b"data: \xff\n\n"]), Err("an event is not text"));
    }
}
