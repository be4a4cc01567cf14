//! `village test`: an agent's own cases, in the sandbox, under its own budget and grants.

use super::build::{self, compile, put};
use super::cases::{Case, Cases, Expected, Step};
use super::check::{self, Checked, Schemas};
use super::compare::differences;
use super::project::Project;
use crate::arguments::Test;
use crate::problem::Problem;
use crate::{json, node, print, run, settings};
use base::Size;
use guest::{Agent, Answer, Failed, Host, Kind, Line, Message, Payload, Priority, Receipt, Sender};
use serde_json::{Value, json};
use std::process::ExitCode;

pub(crate) fn test(options: &Test, json: bool) -> Result<ExitCode, Problem> {
    let project = Project::find(&options.folder)?;
    let Cases { beside, cases } = Cases::load(&project.folder)?;
    let cases = chosen(cases, options.only.as_deref())?;
    let beside = beside.iter().map(|file| run::neighbour(file)).collect::<Result<Vec<_>, _>>()?;
    let compiled = compile(&project, json)?;
    if !json {
        build::warn(&compiled);
    }
    let children = usize::try_from(project.manifest.budget.children).unwrap_or(usize::MAX);
    let granted = !project.manifest.grants.model.is_empty() || beside.iter().any(|one| !one.grants().model.is_empty());
    let small = run::small(beside.len().saturating_add(children));
    let builder = settings::with_models(small, granted, options.config.as_deref(), &project.folder)?;
    let results = node::with(builder, async |host| {
        let checked = check::check(host, &project, compiled.bytes.clone()).await?;
        if checked.version.kind() == Kind::Command {
            return Err(Problem::new(
                "cases",
                "a command has no skills, so it has no cases: run it, with `village run`",
            ));
        }
        put(&project, &compiled)?;
        let width = cases.iter().map(|case| case.name.chars().count()).max().unwrap_or(0);
        let mut results = Vec::new();
        let _beside = run::settle(host, &beside).await?;
        for case in &cases {
            let result = Bench { host, project: &project, checked: &checked }.run(case).await?;
            if !json {
                result.say(width);
            }
            results.push(result);
        }
        Ok(results)
    })?;
    let failed = results.iter().filter(|result| !result.passed()).count();
    let known = json!({
        "cases": results.iter().map(Outcome::object).collect::<Vec<_>>(),
        "passed": results.len() - failed,
        "failed": failed,
    });
    if failed > 0 {
        let message = format!("{failed} of {} cases failed", results.len());
        let known = if let Value::Object(known) = known { known } else { serde_json::Map::new() };
        return Err(Problem::new("failed", message).beside(known));
    }
    match json {
        true => print::json(&known),
        false => print::line(&format!("{} cases passed", results.len())),
    }
    Ok(ExitCode::SUCCESS)
}

/// The cases whose names have these words in them.
fn chosen(cases: Vec<Case>, only: Option<&str>) -> Result<Vec<Case>, Problem> {
    let Some(only) = only else { return Ok(cases) };
    let (chosen, others): (Vec<_>, Vec<_>) = cases.into_iter().partition(|case| case.name.contains(only));
    if chosen.is_empty() {
        let names: Vec<_> = others.iter().map(|case| format!("`{}`", case.name)).collect();
        return Err(Problem::usage(format!(
            "--only `{only}` is in the name of no case; there are {}",
            names.join(", ")
        )));
    }
    Ok(chosen)
}

/// What a case is run with.
struct Bench<'a> {
    host: &'a Host,
    project: &'a Project,
    checked: &'a Checked,
}

/// What came of a case.
struct Outcome {
    name: String,
    line: usize,
    /// What was not as it must be, each with its line.
    problems: Vec<(usize, String)>,
    receipt: Receipt,
    log: Vec<Line>,
}

impl Bench<'_> {
    /// Runs a case on an agent of its own, that nobody has asked anything.
    async fn run(&self, case: &Case) -> Result<Outcome, Problem> {
        let manifest = &self.project.manifest;
        let (version, grants) = (&self.checked.version, manifest.grants.clone());
        let agent = self.host.start_as(&manifest.name, version, manifest.budget, grants, None)?;
        agent.supervise(manifest.supervision);
        let (name, receipt) = (case.name.clone(), Receipt::default());
        let mut outcome = Outcome { name, line: case.line, problems: Vec::new(), receipt, log: Vec::new() };
        for (at, step) in case.steps.iter().enumerate() {
            let problems = self.step(&agent, at, step, &mut outcome.receipt).await?;
            outcome.problems.extend(problems.into_iter().map(|problem| (step.line, problem)));
            outcome.log.extend(agent.log().0);
            if !outcome.problems.is_empty() {
                // What follows builds upon it.
                break;
            }
        }
        Ok(outcome)
    }

    async fn step(&self, agent: &Agent, at: usize, step: &Step, sum: &mut Receipt) -> Result<Vec<String>, Problem> {
        let schemas = self.checked.schemas.iter().find(|known| known.skill == step.skill);
        let mut problems = if fails(step) { Vec::new() } else { self.misasked(step, schemas) };
        let Answer { outcome, receipt, .. } = agent.ask(message(at, step)).await?;
        sum.cpu += receipt.cpu;
        sum.tokens += receipt.tokens;
        sum.wall += receipt.wall;
        sum.memory = sum.memory.max(receipt.memory);
        problems.extend(judge(step, schemas, outcome.map(|reply| reply.payload)));
        Ok(problems)
    }

    /// What is wrong with what is asked, by what the agent says of itself.
    fn misasked(&self, step: &Step, schemas: Option<&Schemas>) -> Vec<String> {
        let names = || self.checked.schemas.iter().map(|known| known.skill.as_str());
        let Some(schemas) = schemas else {
            if step.skill.is_empty() || self.checked.schemas.is_empty() {
                return Vec::new();
            }
            let hint = base::nearest(&step.skill, names()).map(|near| format!(", did you mean `{near}`?"));
            let all = names().collect::<Vec<_>>().join(", ");
            return vec![format!("the agent has no skill `{}`{}; it has {all}", step.skill, hint.unwrap_or_default())];
        };
        let Some(schema) = &schemas.input else { return Vec::new() };
        let Some(input) = &step.input.json else {
            return vec![format!("skill `{}` takes JSON: write `input = …`", step.skill)];
        };
        let misfits = schema.misfits(input);
        misfits.iter().map(|misfit| format!("the input does not fit the skill's schema: {misfit}")).collect()
    }
}

fn fails(step: &Step) -> bool {
    matches!(step.expected, Expected::Failure { .. })
}

fn message(at: usize, step: &Step) -> Message {
    Message {
        id: format!("case-{at}"),
        sender: Sender::Client(String::new()),
        skill: step.skill.clone(),
        payload: Payload { content_type: step.input.content_type.into(), body: step.input.body.clone() },
        priority: Priority::Normal,
        attempt: 1,
        accepted: 0,
    }
}

/// What came of a message, beside what must.
fn judge(step: &Step, schemas: Option<&Schemas>, outcome: Result<Payload, Failed>) -> Vec<String> {
    match (&step.expected, outcome) {
        (Expected::Failure { kind, says }, Err(failed)) => {
            let got = failed.kind();
            let message = match failed {
                Failed::Failed(failure) => failure.message,
                failed => failed.to_string(),
            };
            if got != *kind {
                return vec![format!("expected the failure `{kind}`, got `{got}`: {message}")];
            }
            let unsaid = says.iter().filter(|words| !message.contains(words.as_str()));
            unsaid.map(|words| format!("expected the failure to say `{words}`, it says: {message}")).collect()
        }
        (Expected::Failure { kind, .. }, Ok(reply)) => {
            vec![format!("expected the failure `{kind}`, got a reply: {}", shown(&reply))]
        }
        (_, Err(failed)) => vec![broken(&failed)],
        (expected, Ok(reply)) => answered(expected, schemas, &reply),
    }
}

/// Why there is no reply.
fn broken(failed: &Failed) -> String {
    match failed {
        Failed::Broke(fault) => format!("the agent broke, `{}`: {fault}", fault.kind()),
        Failed::Failed(failure) => format!("the agent failed, `{}`: {}", failed.kind(), failure.message),
        Failed::NoRoom | Failed::Store(_) => failed.to_string(),
    }
}

fn answered(expected: &Expected, schemas: Option<&Schemas>, payload: &Payload) -> Vec<String> {
    let body = serde_json::from_slice::<Value>(&payload.body).ok().filter(|_| json::is_json(&payload.content_type));
    let mut problems = Vec::new();
    if let Some(schema) = schemas.and_then(|schemas| schemas.output.as_ref()) {
        match &body {
            None => {
                problems.push(format!("the answer is not JSON, as the skill's schema promises: {}", shown(payload)))
            }
            Some(body) => problems.extend(
                schema
                    .misfits(body)
                    .iter()
                    .map(|misfit| format!("the answer does not fit the skill's schema: {misfit}")),
            ),
        }
    }
    if let Expected::Answer(value, extent) = expected {
        let got = body.unwrap_or_else(|| Value::from(String::from_utf8_lossy(&payload.body)));
        problems.extend(differences(value, &got, *extent).iter().map(ToString::to_string));
    }
    problems
}

fn shown(payload: &Payload) -> String {
    base::schema::brief(&json::payload(payload)["body"])
}

impl Outcome {
    fn passed(&self) -> bool {
        self.problems.is_empty()
    }

    /// One line, its name as wide as the widest; and what was not as it must be.
    fn say(&self, width: usize) {
        let word = if self.passed() { "ok  " } else { "FAIL" };
        let (cpu, wall) = (json::ms(self.receipt.cpu), json::ms(self.receipt.wall));
        let memory = Size::bytes(self.receipt.memory);
        let line = format!("{word}  {:<width$}  {wall:.1} ms, CPU {cpu:.1} ms, {memory}", self.name);
        print::line(&print::tame(&line));
        for (line, problem) in &self.problems {
            print::line(&print::tame(&format!("      cases.toml:{line}: {problem}")));
        }
        for line in self.log.iter().filter(|_| !self.passed()) {
            print::line(&print::tame(&format!("      log {:<5} {}", line.source.word(), line.text)));
        }
    }

    fn object(&self) -> Value {
        let problems = self.problems.iter().map(|(line, problem)| json!({ "line": line, "message": problem }));
        json!({
            "name": self.name,
            "line": self.line,
            "passed": self.passed(),
            "problems": problems.collect::<Vec<_>>(),
            "usage": json::usage(&self.receipt),
            "log": json::log(&self.log),
        })
    }
}
