//! The organisation and the agent to which a list is limited, where one is.

use ao_store::turn::org;
use ao_store::{AgentId, OrgId, Result, Snapshot};

use super::caller::Asked;

/// What is listed.
pub(crate) struct Scope {
    org: Option<OrgId>,
    agent: Option<AgentId>,
}

impl Scope {
    pub(crate) fn parse(org: Option<&str>, agent: Option<&str>) -> Result<Scope> {
        let (org, agent) = (org.map(str::parse).transpose()?, agent.map(str::parse).transpose()?);
        Ok(Scope { org, agent })
    }

    /// Refuses an organisation that does not exist for the caller.
    pub(crate) fn check(&self, snapshot: &Snapshot<'_>, asked: &Asked) -> Result<()> {
        let Some(org) = &self.org else { return Ok(()) };
        asked.check(org)?;
        org::require(snapshot, org).map(|_| ())
    }

    /// Whether what belongs to these is listed.
    pub(crate) fn has(&self, org: &OrgId, agent: &AgentId) -> bool {
        self.org.as_ref().is_none_or(|own| own == org)
            && self.agent.as_ref().is_none_or(|own| own == agent)
    }
}
