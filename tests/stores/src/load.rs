//! What every engine is asked to store: small changes of many agents, each with a record for the journal.

/// How many agents there are.
pub const AGENTS: u64 = 10_000;
/// Bytes of one record of the journal.
const RECORD: usize = 300;

/// The tables, by number. A journal is a table whose keys only grow.
pub const TABLES: [&str; 4] = ["journal", "state", "mail", "agents"];
/// The journal among them.
pub const JOURNAL: usize = 0;
const STATE: usize = 1;
const MAIL: usize = 2;
const LIVES: usize = 3;

/// One row to be written, or deleted.
pub struct Row {
    pub table: usize,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// Changes as turns make them: one state write, one message taken and one sent, the agent's own row, one record.
pub struct Load {
    seed: u64,
    seq: u64,
}

impl Load {
    pub fn new(seed: u64) -> Load {
        Load { seed: seed.max(1), seq: 0 }
    }

    /// How many changes there have been.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            let random = self.random();
            bytes.extend_from_slice(&random.to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// The rows of the next change.
    pub fn change(&mut self) -> Vec<Row> {
        let seq = self.seq;
        self.seq += 1;
        let (agent, field) = (self.random() % AGENTS, self.random() % 20);
        let mut rows = vec![
            Row { table: STATE, key: pair(agent, field), value: Some(self.bytes(100)) },
            Row { table: MAIL, key: pair(receiver(seq), seq), value: Some(self.bytes(200)) },
            Row { table: LIVES, key: agent.to_be_bytes().to_vec(), value: Some(self.bytes(60)) },
            Row { table: JOURNAL, key: seq.to_be_bytes().to_vec(), value: Some(self.bytes(RECORD)) },
        ];
        // Messages live shortly: each is taken some thousand changes after it was sent.
        if let Some(old) = seq.checked_sub(20_000) {
            rows.push(Row { table: MAIL, key: pair(receiver(old), old), value: None });
        }
        rows
    }
}

fn receiver(seq: u64) -> u64 {
    (seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % AGENTS
}

fn pair(agent: u64, number: u64) -> Vec<u8> {
    [agent.to_be_bytes(), number.to_be_bytes()].concat()
}
