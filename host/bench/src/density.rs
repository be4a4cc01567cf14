//! How many agents may live at once, and what an idle one takes.

use crate::report::{Bar, Row};
use crate::village::{ECHO, Village, io};
use crate::{Error, Plan, Rows, process_cpu};
use base::Budget;
use guest::{Grants, Pool};

pub(crate) fn measure(plan: &Plan) -> Rows {
    let count: u32 = if plan.quick { 1_000 } else { 10_000 };
    io(1)?.block_on(async {
        let village = Village::new(if plan.quick { Pool::Slots(count) } else { Pool::Machine }, None)?;
        let version = village.load(ECHO).await?;
        let all = village.host.capacity();
        let (memory, cpu) = (resident()?, process_cpu());
        let (mut agents, mut warm) = (Vec::new(), Vec::new());
        for _ in 0..count.min(all) {
            let agent = village.host.start(&version, Budget::default(), Grants::default(), None)?;
            warm.push(agent.warm());
            agents.push(agent);
        }
        for warm in warm {
            warm.await??;
        }
        let cpu = (process_cpu() - cpu) as f64 / 1e9;
        let live = agents.len() as f64;
        let each = (resident()? - memory) as f64 / 1024.0 / live;
        // Beyond the last seat there is a refusal, and room again once somebody leaves.
        while let Ok(agent) = village.host.start(&version, Budget::default(), Grants::default(), None) {
            agent.warm().await??;
            agents.push(agent);
        }
        let full = agents.len() as u32 == all;
        agents.pop();
        let again = village.host.start(&version, Budget::default(), Grants::default(), None).is_ok();
        Ok(vec![
            Row::judged(
                "density: idle agents alive at once",
                "agents",
                live,
                format!("room for {all} on this machine's settings"),
                Bar::AtLeast(f64::from(count)),
            ),
            Row::judged("density: resident memory of each", "KiB", each, "", Bar::AtMost(48.0)),
            Row::judged("density: CPU to make them all", "s", cpu, "", Bar::AtMost(0.5 * f64::from(count) / 10_000.0)),
            Row::judged(
                "density: one more is refused, and room comes back",
                "yes",
                f64::from(u8::from(full && again)),
                "",
                Bar::AtLeast(1.0),
            ),
        ])
    })
}

/// Resident bytes of this process.
pub(crate) fn resident() -> Result<u64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib << 10)
}
