//! The web, which answers what the test says.

use crate::http::{Request, Response, Target};
use crate::test::world::open;
use crate::types::{Error, Limit};

#[derive(Debug)]
pub(crate) struct Sending(Result<Response, Error>);

pub(crate) fn begin(request: &Request, _target: &Target<'_>) -> Result<Sending, Error> {
    let world = open("http")?;
    let script = world.borrow().web.clone();
    let script = script.ok_or_else(|| Error::Unavailable("the test says nothing of the web".to_owned()))?;
    let answer = (script.borrow_mut())(request);
    Ok(Sending(answer))
}

impl Sending {
    pub(crate) fn wait(self, longest: u64) -> Result<Response, Error> {
        let response = self.0?;
        if response.body.len() as u64 > longest {
            return Err(Error::Limit(Limit { what: "the length of the answer".to_owned(), retry_after: None }));
        }
        Ok(response)
    }
}
