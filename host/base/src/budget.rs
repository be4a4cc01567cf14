//! What an agent may use.

use crate::{Bad, Share, Size, nearest, span, span_text};
use std::time::Duration;

/// What an agent may use. Every field has a value; there is no "unlimited".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// CPU, sustained.
    pub cpu: Share,
    /// CPU time that it may run ahead of its share.
    pub burst: Duration,
    /// Wall time of one turn, waiting included.
    pub deadline: Duration,
    /// All linear memories, tables, handles, and bytes that the host holds for it.
    pub memory: Size,
    /// Durable state, and what it adds to files.
    pub storage: Size,
    /// Messages that may wait for it.
    pub mailbox: u32,
    /// Bytes of messages that may wait for it.
    pub mailbox_bytes: Size,
    /// Log bytes a second.
    pub log: Size,
    /// Messages that it may send in a second.
    pub messages: u32,
    /// Bytes a second that it exchanges with other villages, both ways together.
    pub mesh: Size,
    /// Agents that it may have created and that are still there.
    pub children: u32,
    /// Time of the graphics processor, sustained. It may run ahead by `burst`, as the CPU time may.
    pub gpu: Share,
    /// HTTP requests a second.
    pub http: u32,
    /// Tokens of models a minute, read and written together.
    pub tokens: u32,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            cpu: Share::percent(25),
            burst: Duration::from_millis(200),
            deadline: Duration::from_secs(30),
            memory: Size::mib(64),
            storage: Size::mib(64),
            mailbox: 1000,
            mailbox_bytes: Size::mib(4),
            log: Size::kib(64),
            messages: 100,
            mesh: Size::mib(1),
            children: 0,
            gpu: Share::percent(5),
            http: 20,
            tokens: 10_000,
        }
    }
}

/// The fields that are enforced, in the manifest's order.
pub const FIELDS: [&str; 14] = [
    "cpu",
    "burst",
    "deadline",
    "memory",
    "storage",
    "mailbox",
    "mailbox-bytes",
    "log",
    "messages",
    "mesh",
    "children",
    "gpu",
    "http",
    "tokens",
];

/// A budget that can't be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No budget has such a field.
    #[error("unknown budget field `{field}`{}; there are {}", did_you_mean(.nearest), FIELDS.join(", "))]
    Unknown {
        /// As it was written.
        field: String,
        /// The field that was probably meant.
        nearest: Option<&'static str>,
    },
    /// The field is to come, and is not enforced by this version.
    #[error("budget field `{field}` can't be enforced yet: it comes with {room}; leave it out")]
    Later {
        /// As it was written.
        field: String,
        /// What will enforce it.
        room: &'static str,
    },
    /// The value can't be read.
    #[error("budget field `{field}`: {bad}")]
    Value {
        /// The field.
        field: &'static str,
        /// Why.
        bad: Bad,
    },
    /// The value can be read, and can't be had.
    #[error("budget field `{field}`: {value} is out of range, from {least} to {most}")]
    Range {
        /// The field.
        field: &'static str,
        /// The value.
        value: String,
        /// The least that can be had.
        least: String,
        /// The most that can be had.
        most: String,
    },
}

fn did_you_mean(nearest: &Option<&str>) -> String {
    nearest.map(|word| format!(", did you mean `{word}`?")).unwrap_or_default()
}

impl Budget {
    /// Sets one field from its text in a manifest or on a command line.
    pub fn set(&mut self, field: &str, text: &str) -> Result<(), Error> {
        match known(field)? {
            // A guest has one thread, so it can't use more than one core.
            "cpu" => self.cpu = share("cpu", text, Share::CORE)?,
            "burst" => self.burst = time("burst", text, Duration::from_millis(1), Duration::from_secs(3600))?,
            "deadline" => {
                self.deadline = time("deadline", text, Duration::from_millis(1), Duration::from_secs(86_400))?
            }
            "memory" => self.memory = size("memory", text, Size::kib(64), Size::mib(64 << 10))?,
            "storage" => self.storage = size("storage", text, Size::bytes(0), Size::mib(1 << 20))?,
            "mailbox" => self.mailbox = count("mailbox", text, 1, 1_000_000)?,
            "mailbox-bytes" => self.mailbox_bytes = size("mailbox-bytes", text, Size::kib(1), Size::mib(64 << 10))?,
            "log" => self.log = size("log", a_second(text), Size::bytes(1), Size::mib(64))?,
            "messages" => self.messages = per_second("messages", text, 1, 1_000_000)?,
            "mesh" => self.mesh = size("mesh", a_second(text), Size::kib(1), Size::mib(1 << 10))?,
            "children" => self.children = count("children", text, 0, 100_000)?,
            "gpu" => self.gpu = share("gpu", text, Share::CORE)?,
            "http" => self.http = per_second("http", text, 1, 10_000)?,
            "tokens" => self.tokens = tokens(text)?,
            field => unreachable!("`{field}` is one of FIELDS"),
        }
        Ok(())
    }

    /// Each field with its limit, as it would be written.
    pub fn fields(&self) -> [(&'static str, String); FIELDS.len()] {
        [
            ("cpu", self.cpu.to_string()),
            ("burst", span_text(self.burst)),
            ("deadline", span_text(self.deadline)),
            ("memory", self.memory.to_string()),
            ("storage", self.storage.to_string()),
            ("mailbox", self.mailbox.to_string()),
            ("mailbox-bytes", self.mailbox_bytes.to_string()),
            ("log", format!("{}/s", self.log)),
            ("messages", format!("{}/s", self.messages)),
            ("mesh", format!("{}/s", self.mesh)),
            ("children", self.children.to_string()),
            ("gpu", self.gpu.to_string()),
            ("http", format!("{}/s", self.http)),
            ("tokens", tokens_text(self.tokens)),
        ]
    }
}

impl Budget {
    /// The same with no field above that of `most`.
    pub fn within(&self, most: &Budget) -> Budget {
        Budget {
            cpu: self.cpu.min(most.cpu),
            burst: self.burst.min(most.burst),
            deadline: self.deadline.min(most.deadline),
            memory: self.memory.min(most.memory),
            storage: self.storage.min(most.storage),
            mailbox: self.mailbox.min(most.mailbox),
            mailbox_bytes: self.mailbox_bytes.min(most.mailbox_bytes),
            log: self.log.min(most.log),
            messages: self.messages.min(most.messages),
            mesh: self.mesh.min(most.mesh),
            children: self.children.min(most.children),
            gpu: self.gpu.min(most.gpu),
            http: self.http.min(most.http),
            tokens: self.tokens.min(most.tokens),
        }
    }

    /// Each field with its limit to the last digit: [`Budget::set`] makes the same budget of it. For what is kept.
    pub fn exact(&self) -> [(&'static str, String); FIELDS.len()] {
        let size = |size: Size| format!("{}B", size.get());
        self.fields().map(|(field, text)| {
            let text = match field {
                "burst" => format!("{}us", self.burst.as_micros()),
                "deadline" => format!("{}us", self.deadline.as_micros()),
                "memory" => size(self.memory),
                "storage" => size(self.storage),
                "mailbox-bytes" => size(self.mailbox_bytes),
                "log" => size(self.log),
                "mesh" => size(self.mesh),
                // Shares and counts are written whole.
                _ => text,
            };
            (field, text)
        })
    }
}

/// What a group of agents may use together, beside each one's own budget. Groups nest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// CPU, sustained. May be more than one core.
    pub cpu: Share,
    /// CPU time that they may run ahead of the share.
    pub burst: Duration,
    /// As for an agent.
    pub memory: Size,
}

impl Default for Group {
    fn default() -> Group {
        Group { cpu: Share::CORE, burst: Duration::from_millis(200), memory: Size::mib(1024) }
    }
}

impl Group {
    /// Sets one field from its text.
    pub fn set(&mut self, field: &str, text: &str) -> Result<(), Error> {
        match known(field)? {
            "cpu" => self.cpu = share("cpu", text, Share::percent(100_000))?,
            "burst" => self.burst = time("burst", text, Duration::from_millis(1), Duration::from_secs(3600))?,
            "memory" => self.memory = size("memory", text, Size::kib(64), Size::mib(1 << 20))?,
            field => {
                return Err(Error::Later { field: field.into(), room: "groups that share more than cpu and memory" });
            }
        }
        Ok(())
    }
}

fn known(field: &str) -> Result<&'static str, Error> {
    if let Some(known) = FIELDS.into_iter().find(|known| *known == field) {
        return Ok(known);
    }
    Err(Error::Unknown { field: field.into(), nearest: nearest(field, FIELDS) })
}

fn share(field: &'static str, text: &str, most: Share) -> Result<Share, Error> {
    let value: Share = text.parse().map_err(|bad| Error::Value { field, bad })?;
    within(field, value, LEAST_SHARE, most, |share| share.to_string())
}

fn time(field: &'static str, text: &str, least: Duration, most: Duration) -> Result<Duration, Error> {
    let value = span(text).map_err(|bad| Error::Value { field, bad })?;
    within(field, value, least, most, span_text)
}

fn size(field: &'static str, text: &str, least: Size, most: Size) -> Result<Size, Error> {
    let value: Size = text.parse().map_err(|bad| Error::Value { field, bad })?;
    within(field, value, least, most, |size| size.to_string())
}

/// A number a second: `20/s`, or the number alone.
fn per_second(field: &'static str, text: &str, least: u32, most: u32) -> Result<u32, Error> {
    let bad = || Bad { given: text.into(), wanted: "a number a second, such as 20/s" };
    let value = a_second(text).trim().parse().map_err(|_| Error::Value { field, bad: bad() })?;
    within(field, value, least, most, |value| format!("{value}/s"))
}

/// A number a minute, of which `k` are thousands and `M` millions: `10k/min`, or without its `/min`.
fn tokens(text: &str) -> Result<u32, Error> {
    let bad = || Bad { given: text.into(), wanted: "tokens a minute, such as 10k/min" };
    let bad = || Error::Value { field: "tokens", bad: bad() };
    let amount = text.trim();
    let amount = amount.strip_suffix("/min").unwrap_or(amount).trim();
    let (number, scale) = match amount.strip_suffix(['k', 'M']) {
        Some(number) => (number, if amount.ends_with('k') { 1_000 } else { 1_000_000 }),
        None => (amount, 1),
    };
    let number: u64 = number.trim().parse().map_err(|_| bad())?;
    let most = u64::from(MOST_TOKENS);
    let value = within("tokens", number.saturating_mul(scale), 1, most, |value| format!("{value}/min"))?;
    u32::try_from(value).map_err(|_| bad())
}

/// More than any back end writes in a minute.
const MOST_TOKENS: u32 = 1_000_000_000;

/// As it would be written, to the last digit.
fn tokens_text(tokens: u32) -> String {
    match tokens {
        millions if millions.is_multiple_of(1_000_000) => format!("{}M/min", millions / 1_000_000),
        thousands if thousands.is_multiple_of(1_000) => format!("{}k/min", thousands / 1_000),
        tokens => format!("{tokens}/min"),
    }
}

fn count(field: &'static str, text: &str, least: u32, most: u32) -> Result<u32, Error> {
    let bad = || Error::Value { field, bad: Bad { given: text.into(), wanted: "a whole number, such as 100" } };
    let value: u64 = text.trim().parse().map_err(|_| bad())?;
    let value = within(field, value, least.into(), most.into(), |number| number.to_string())?;
    u32::try_from(value).map_err(|_| bad())
}

/// The amount of a rate, which may be written with or without its `/s`.
fn a_second(text: &str) -> &str {
    text.trim().strip_suffix("/s").unwrap_or(text)
}

/// A tenth of a per cent: below it one tick of the clock lasts over a second.
const LEAST_SHARE: Share = Share::permille(1);

fn within<V: PartialOrd>(field: &'static str, value: V, least: V, most: V, text: fn(V) -> String) -> Result<V, Error> {
    if value < least || value > most {
        return Err(Error::Range { field, value: text(value), least: text(least), most: text(most) });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(field: &str, value: &str) -> String {
        Budget::default().set(field, value).expect_err("it is refused").to_string()
    }

    #[test]
    fn every_field_is_set_and_read_back() {
        let mut budget = Budget::default();
        for (field, value) in [
            ("cpu", "10%"),
            ("burst", "50ms"),
            ("deadline", "2s"),
            ("memory", "32MiB"),
            ("storage", "1MiB"),
            ("mailbox", "10"),
            ("mailbox-bytes", "64KiB"),
            ("log", "8KiB/s"),
            ("messages", "7/s"),
            ("mesh", "64KiB/s"),
            ("children", "3"),
            ("gpu", "20%"),
            ("http", "5/s"),
            ("tokens", "2500/min"),
        ] {
            assert_ne!(
                budget.fields().iter().find(|(name, _)| *name == field).map(|(_, text)| text.as_str()),
                Some(value)
            );
            budget.set(field, value).expect("a good value");
            assert!(budget.fields().contains(&(field_name(field), value.to_string())), "{field}");
        }
    }

    fn field_name(field: &str) -> &'static str {
        known(field).expect("a known field")
    }

    #[test]
    fn a_budget_within_another_has_the_smaller_of_each_field() {
        let small = Budget { gpu: Share::percent(1), ..Budget::default() };
        let mut large = small;
        for (field, text) in [
            ("cpu", "90%"),
            ("burst", "9s"),
            ("deadline", "90s"),
            ("memory", "1GiB"),
            ("storage", "1GiB"),
            ("mailbox", "9999"),
            ("mailbox-bytes", "1GiB"),
            ("log", "1MiB"),
            ("messages", "999"),
            ("mesh", "9MiB"),
            ("children", "9"),
            ("gpu", "90%"),
            ("http", "99"),
        ] {
            large.set(field, text).expect("it is good");
        }
        let differ = large.fields().iter().zip(small.fields()).filter(|(large, small)| *large != small).count();
        assert_eq!(differ, FIELDS.len(), "each field is tried");
        assert_eq!((large.within(&small), small.within(&large)), (small, small));
        let one = Budget { memory: Size::mib(1), ..large };
        assert_eq!(one.within(&small), Budget { memory: Size::mib(1), ..small });
    }

    #[test]
    fn what_is_kept_of_a_budget_makes_the_same_one() {
        let odd = Budget {
            cpu: "33.3333%".parse().expect("a share"),
            burst: Duration::from_micros(1_234_567),
            deadline: Duration::from_micros(2_345_678),
            memory: Size::bytes(1_234_567),
            storage: Size::bytes(7_654_321),
            mailbox: 11,
            mailbox_bytes: Size::bytes(1_235),
            log: Size::bytes(4_097),
            messages: 7,
            mesh: Size::bytes(5_001),
            children: 3,
            gpu: "0.7%".parse().expect("a share"),
            http: 9,
            tokens: 1_234_567,
        };
        let mut again = Budget::default();
        for (field, text) in odd.exact() {
            again.set(field, &text).expect("it was written so that it can be read");
        }
        assert_eq!(again, odd);
    }

    #[test]
    fn an_unknown_field_names_the_nearest() {
        assert_eq!(
            refusal("memmory", "1MiB"),
            "unknown budget field `memmory`, did you mean `memory`?; there are cpu, burst, \
             deadline, memory, storage, mailbox, mailbox-bytes, log, messages, mesh, children, gpu, http, tokens"
        );
    }

    #[test]
    fn tokens_are_written_short_and_long() {
        let set = |text: &str| {
            let mut budget = Budget::default();
            budget.set("tokens", text).map(|()| (budget.tokens, budget.fields()[13].1.clone()))
        };
        for (text, tokens, shown) in [
            ("10k/min", 10_000, "10k/min"),
            ("2M", 2_000_000, "2M/min"),
            (" 1500 / min ", 1_500, "1500/min"),
            ("7", 7, "7/min"),
        ] {
            let written = text.replace(" / ", "/");
            assert_eq!(set(&written), Ok((tokens, shown.to_string())), "{text}");
        }
        for bad in ["", "k", "10K/min", "1.5k", "10k/s", "-1", "unlimited"] {
            assert!(matches!(set(bad), Err(Error::Value { .. })), "{bad}");
        }
        assert!(matches!(set("0"), Err(Error::Range { .. })));
        assert!(matches!(set("2000M"), Err(Error::Range { .. })));
    }

    #[test]
    fn impossible_values_are_refused() {
        assert!(refusal("cpu", "200%").contains("from 0.1% to 100%"));
        assert!(refusal("cpu", "0%").contains("above nothing"));
        assert!(refusal("deadline", "0s").contains("out of range"));
        assert!(refusal("memory", "1KiB").contains("out of range"));
        assert!(refusal("memory", "lots").contains("`lots` is not a size"));
        assert!(refusal("log", "0").contains("out of range"));
        assert!(refusal("messages", "0/s").contains("from 1/s to 1000000/s"));
        assert!(refusal("mesh", "1/s").contains("out of range"));
        assert!(refusal("messages", "5/min").contains("such as 20/s"));
        assert!(refusal("children", "-1").contains("not a whole number"));
        assert!(refusal("http", "0/s").contains("from 1/s to 10000/s"));
        assert!(refusal("http", "many").contains("such as 20/s"));
    }
}
