//! `village mesh propose`, `vote`, `votes` and `verify`: what villages decide together.

use crate::arguments::{Choice, Propose, Verify, Vote, Votes};
use crate::problem::Problem;
use crate::{node, print};
use api::wire::NewProposal;
use hall::{Conditions, Poll, PollDetails, Proved, short};
use serde_json::json;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// As much of an id as is shown in a list: enough to name one of as many as there can be.
const SHORT: usize = 12;

pub(crate) fn propose(options: &Propose, json: bool) -> Result<(), Problem> {
    base::span(&options.life).map_err(|bad| Problem::usage(format!("--for: {bad}")))?;
    if !(options.threshold > 0.5 && options.threshold <= 1.0) {
        return Err(Problem::usage(format!("--threshold: {} is not above 0.5 and at most 1", options.threshold)));
    }
    let text = match options.text.as_str() {
        "-" => String::from_utf8_lossy(&crate::run::input(Some("-"))?.unwrap_or_default()).into_owned(),
        text => text.into(),
    };
    let wanted = NewProposal {
        text,
        electorate: options.electorate.clone(),
        threshold: Some(options.threshold),
        life: options.life.clone(),
    };
    let client = options.reach.client()?;
    let poll = node::asking(async || Ok(client.propose(&wanted).await?))?;
    if json {
        print::json(&json!(poll));
        return Ok(());
    }
    // Alone on the standard output, so that it can be handed on.
    print::line(&poll.id);
    print::err(&format!(
        "village: {} of {} have to say yes within {}: `village mesh vote {} yes`",
        poll.needed,
        poll.electorate.len(),
        options.life,
        brief(&poll.id),
    ));
    Ok(())
}

pub(crate) fn vote(options: &Vote, json: bool) -> Result<(), Problem> {
    let yes = matches!(options.choice, Choice::Yes);
    let client = options.reach.client()?;
    let poll = node::asking(async || Ok(client.vote(&options.id, yes).await?))?;
    match json {
        true => print::json(&json!(poll)),
        false => print::line(&format!("{}: {}; {}", brief(&poll.id), if yes { "yes" } else { "no" }, standing(&poll))),
    }
    Ok(())
}

pub(crate) fn votes(options: &Votes, json: bool) -> Result<(), Problem> {
    let client = options.reach.client()?;
    let Some(id) = &options.id else {
        let polls = node::asking(async || Ok(client.votes().await?))?;
        match json {
            true => print::json(&json!(polls)),
            false => print::out(table(&polls.votes, now()).as_bytes()),
        }
        return Ok(());
    };
    let poll = node::asking(async || Ok(client.poll(id).await?))?;
    if options.certificate {
        let none = || Problem::new("not-accepted", format!("{}: {}", brief(&poll.poll.id), standing(&poll.poll)));
        print::line(poll.certificate.as_ref().ok_or_else(none)?);
    } else if options.lies {
        poll.lies.iter().for_each(|lie| print::line(lie));
    } else if json {
        print::json(&json!(poll));
    } else {
        print::out(whole(&poll, now()).as_bytes());
    }
    Ok(())
}

pub(crate) fn verify(options: &Verify, json: bool) -> Result<(), Problem> {
    let lies = options.lies.as_deref().map_or(Ok(String::new()), read)?;
    let terms = Conditions {
        founder: options.founder.clone(),
        electorate: options.electorate.clone(),
        threshold: options.threshold,
        lies: lies.lines().filter(|line| !line.trim().is_empty()).map(String::from).collect(),
    };
    let refused = |error: hall::Error| Problem::new("no-proof", error.to_string());
    let proved = hall::verify(&read(&options.file)?, &terms).map_err(refused)?;
    if json {
        print::json(&json!(proved));
        return Ok(());
    }
    match &proved {
        Proved::Lie { voter, id } => print::line(&format!("{voter} has voted both ways on {id}")),
        Proved::Decision { poll, founder } => {
            print::line(&format!("accepted: {}", print::tame(poll.text.trim())));
            print::line(&format!("  id       {}", poll.id));
            print::line(&format!("  founder  {founder}"));
            print::line(&format!(
                "  yes      {} of {}, and {} had to",
                poll.yes.len(),
                poll.electorate.len(),
                poll.needed
            ));
            for voter in &poll.electorate {
                let word = if poll.yes.contains(voter) { "yes" } else { "-" };
                print::line(&format!("  {word:<7}  {voter}"));
            }
            if options.electorate.is_empty() || options.founder.is_none() {
                print::err(
                    "village: who votes in which village is what the certificate says itself: --founder and --electorate \
                     hold it to what you know",
                );
            }
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, Problem> {
    let text = match file.to_str() {
        Some("-") => String::from_utf8_lossy(&crate::run::input(Some("-"))?.unwrap_or_default()).into_owned(),
        _ => std::fs::read_to_string(file).map_err(|error| Problem::file(file, error))?,
    };
    Ok(text)
}

fn brief(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// What has come of it, or what is missing.
fn standing(poll: &Poll) -> String {
    let liars = match poll.liars.len() {
        0 => String::new(),
        count => format!(", {count} both ways"),
    };
    let counts = format!("{} yes, {} no{liars} of {}", poll.yes.len(), poll.no.len(), poll.electorate.len());
    match poll.state.as_str() {
        "open" => format!("open: {counts}, {} yes are needed", poll.needed),
        state => format!("{state}: {counts}"),
    }
}

fn left(poll: &Poll, now: u64) -> String {
    match poll.deadline.checked_sub(now) {
        Some(left) if left > 0 => format!("{} left", about(left)),
        _ => "ended".into(),
    }
}

/// So many milliseconds, in whole units of which there are two or more: none less than there are.
fn about(millis: u64) -> String {
    let units = [(24 * 3_600_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let (unit, name) = units.into_iter().find(|(unit, _)| millis >= 2 * unit).unwrap_or((1000, "s"));
    format!("{}{name}", millis.div_ceil(unit))
}

fn table(polls: &[Poll], now: u64) -> String {
    if polls.is_empty() {
        return "nothing is being decided: `village mesh propose TEXT` proposes something\n".into();
    }
    let title = ["proposal", "by", "stands", "time", "voted", "about"].map(String::from).to_vec();
    let row = |poll: &Poll| {
        vec![
            brief(&poll.id).into(),
            short(&poll.proposer).into(),
            standing(poll),
            left(poll, now),
            poll.voted.map_or("-", |yes| if yes { "yes" } else { "no" }).into(),
            print::tame(poll.text.lines().next().unwrap_or_default()),
        ]
    };
    let rows: Vec<_> = std::iter::once(title).chain(polls.iter().map(row)).collect();
    print::columns(&rows)
}

/// One vote with all that is known of it.
fn whole(details: &PollDetails, now: u64) -> String {
    let poll = &details.poll;
    let mut text = format!("{}\n", poll.id);
    text.push_str(&format!("by {}, {}\n{}\n\n", short(&poll.proposer), left(poll, now), standing(poll)));
    for line in poll.text.trim().lines() {
        text.push_str(&format!("  {}\n", print::tame(line)));
    }
    text.push('\n');
    for voter in &poll.electorate {
        let word = match () {
            () if poll.liars.contains(voter) => "both",
            () if poll.yes.contains(voter) => "yes",
            () if poll.no.contains(voter) => "no",
            () => "-",
        };
        text.push_str(&format!("{word:<5} {}\n", short(voter)));
    }
    if let Some(certificate) = &details.certificate {
        text.push_str(&format!("\nproof that it was accepted:\n{certificate}\n"));
    }
    for lie in &details.lies {
        text.push_str(&format!("\nproof that somebody has voted both ways:\n{lie}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll() -> Poll {
        let name = |n: u8| format!("12D3KooWpeer-{n}--rest");
        Poll {
            id: "0123456789abcdef".into(),
            text: "swap\nthe navigator".into(),
            proposer: name(1),
            deadline: 65_000,
            electorate: (1..=4).map(name).collect(),
            threshold: 0.8,
            needed: 4,
            yes: vec![name(1)],
            no: vec![name(2)],
            liars: vec![name(3)],
            state: "open".into(),
            voted: Some(false),
        }
    }

    #[test]
    fn a_vote_is_a_line_that_says_how_it_stands() {
        let text = table(&[poll()], 5_000);
        let wanted =
            "0123456789ab  peer-1--  open: 1 yes, 1 no, 1 both ways of 4, 4 yes are needed  60s left  no     swap";
        assert!(text.contains(wanted), "{text}");
        let over = Poll { state: "lapsed".into(), voted: None, ..poll() };
        let text = table(&[over], 65_000);
        assert!(text.contains("lapsed: 1 yes, 1 no, 1 both ways of 4  ended  -"), "{text}");
        assert!(table(&[], 0).contains("village mesh propose TEXT"));
    }

    #[test]
    fn the_time_that_is_left_is_rounded_up_and_short() {
        for (millis, wanted) in [
            (1, "1s"),
            (119_999, "120s"),
            (120_001, "3m"),
            (86_400_000, "24h"),
            (172_800_000, "2d"),
            (172_800_001, "3d"),
        ] {
            assert_eq!(about(millis), wanted, "{millis}");
        }
    }

    #[test]
    fn one_vote_is_shown_with_each_voter_and_the_proofs() {
        let details = PollDetails { poll: poll(), certificate: Some("proof-1".into()), lies: vec!["proof-2".into()] };
        let text = whole(&details, 5_000);
        assert!(text.contains("  swap\n  the navigator\n"), "{text}");
        assert!(text.contains("\nyes   peer-1--\nno    peer-2--\nboth  peer-3--\n-     peer-4--\n"), "{text}");
        assert!(text.contains("accepted:\nproof-1\n") && text.contains("both ways:\nproof-2\n"), "{text}");
    }
}
