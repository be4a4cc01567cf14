//! What is done to agents that are there: started, stopped, given another budget.

use crate::deploy::absolute;
use crate::error::Error;
use crate::event::What;
use crate::registry::{Note, Registration, Wanted, kept};
use crate::resident::Resident;
use crate::village::Village;
use guest::{Card, Grants, Supervision};
use serde_json::{Value, json};
use std::sync::Arc;
use store::Change;

impl Village {
    /// Lets an agent take messages, and makes it now: what keeps it from being made is said here.
    pub async fn start_agent(&self, name: &str) -> Result<(), Error> {
        self.open()?;
        let resident = self.resident(name)?;
        if self.want(&resident, Wanted::Running).await? {
            self.tell_of(name, What::Started);
        }
        self.awake(&resident).await.map(drop)
    }

    /// Stops an agent, in the midst of a turn if need be. It takes no messages until it is started.
    pub async fn stop_agent(&self, name: &str) -> Result<(), Error> {
        let resident = self.resident(name)?;
        if self.want(&resident, Wanted::Stopped).await? {
            self.tell_of(name, What::Stopped);
        }
        Ok(())
    }

    /// Answers whether that was something new.
    async fn want(&self, resident: &Resident, wanted: Wanted) -> Result<bool, Error> {
        let _changing = resident.changing.lock().await;
        let row = self.row(&resident.name)?;
        let new = row.wanted != wanted;
        let row = Registration { wanted, ..row };
        if new {
            let what = if wanted == Wanted::Stopped { "stopped" } else { "started" };
            let mut told = None;
            let tell = |change: &mut Change| {
                told = (wanted == Wanted::Stopped).then(|| self.host().tell_stopped(&resident.name, change));
            };
            self.registry().put_with(&row, Note::new(what, Value::Null), tell).await?;
            if let Some(told) = told {
                told();
            }
        }
        resident.want(wanted);
        match wanted {
            Wanted::Stopped => self.end(resident).await,
            Wanted::Running if new => self.enrol(&row).await?,
            Wanted::Running => {}
        }
        Ok(new)
    }

    pub(crate) fn row(&self, name: &str) -> Result<Registration, Error> {
        let row = self.registry().row(name)?;
        row.ok_or_else(|| Error::Unknown { name: name.into(), nearest: None })
    }

    /// Changes fields of an agent's budget, from now on and after a restart.
    pub async fn set_budget(&self, name: &str, fields: &[(String, String)]) -> Result<(), Error> {
        let resident = self.resident(name)?;
        let _changing = resident.changing.lock().await;
        let row = self.row(name)?;
        let mut budget = row.budget()?;
        for (field, text) in fields {
            budget.set(field, text)?;
        }
        let note = Note::new("budget", fields.iter().cloned().collect());
        self.registry().put(&Registration { budget: kept(&budget), ..row }, note).await?;
        self.host().change(name, |enrolment| enrolment.budget = budget);
        if let Some(agent) = self.present(name) {
            agent.set_budget(budget);
        }
        self.tell_of(name, What::Budget { fields: fields.to_vec() });
        Ok(())
    }

    /// Changes what an agent may reach, from now on and after a restart. It is made anew with that: what it keeps only in
    /// memory is gone, and a turn under way is tried again.
    pub async fn set_grants(&self, name: &str, grants: Grants) -> Result<(), Error> {
        let resident = self.resident(name)?;
        {
            let _changing = resident.changing.lock().await;
            if grants.spawn && self.registry().replicas(name)?.max > 1 {
                return Err(guest::replicas::Error::Spawns.into());
            }
            let (row, grants) = (self.row(name)?, absolute(grants));
            let texts = grants.texts();
            let note = Note::new("grants", json!({ "grants": texts }));
            self.registry().put(&Registration { grants: texts.clone(), ..row }, note).await?;
            self.host().change(name, |enrolment| enrolment.grants = Arc::new(grants));
            if let Some(agent) = self.present(name) {
                self.host().rest(name);
                // Somebody may be waiting for it, and has it for that long.
                agent.stop();
                resident.collect(&agent);
            }
            self.tell_of(name, What::Grants { grants: texts });
        }
        if resident.open().is_ok() {
            // What keeps it from being made with them is said here.
            self.awake(&resident).await?;
        }
        Ok(())
    }

    /// Changes how what an agent creates is looked after, from now on and after a restart; none if nobody says.
    pub async fn set_supervision(&self, name: &str, plan: Option<Supervision>) -> Result<(), Error> {
        let resident = self.resident(name)?;
        let _changing = resident.changing.lock().await;
        let row = self.row(name)?;
        let note = Note::new("supervision", json!({ "said": plan.is_some() }));
        self.registry().put_with(&row, note, |change| self.host().supervise_with(name, plan, change)).await
    }

    /// Changes what the agents of a group may use together, from now on and after a restart: over village.toml.
    pub async fn set_group(&self, name: &str, fields: &[(String, String)]) -> Result<(), Error> {
        let grouped = self.groups().get(name).ok_or_else(|| Error::Group { name: name.into() })?;
        let mut budget = *grouped.budget.lock();
        for (field, text) in fields {
            budget.set(field, text)?;
        }
        crate::groups::keep(self.books(), name, fields).await?;
        grouped.group.set_budget(&budget);
        *grouped.budget.lock() = budget;
        self.tell_of("", What::Group { group: name.into(), fields: fields.to_vec() });
        Ok(())
    }

    /// Asks an agent what it is. It is made if it isn't there.
    pub async fn card(&self, name: &str) -> Result<Card, Error> {
        self.open()?;
        let resident = self.resident(name)?;
        let agent = self.awake(&resident).await?;
        agent.describe().await?.map_err(|fault| Error::Failed(fault.into()))
    }
}
