//! Agents: add, list, show, and their members.

use ao_daemon::document::turn as document;
use ao_session::ensure_org;
use ao_store::turn::agent::{self, Agent, Member};
use ao_store::turn::org;
use ao_store::{AgentId, OrgId, Timestamp};

use crate::args::{Agent as Command, ListArgs, OrgArg};
use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::listing::Listing;
use crate::table::{Cell, Column};
use crate::{output, view};

pub(crate) fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Add { name, org, account, session } => {
            let agent = Agent {
                account: account.unwrap_or_default(),
                ..Agent::new(of(&org)?, name.parse()?, Timestamp::now())
            };
            let agent = match session {
                Some(session) => context.sessions()?.answers_for(agent, &session.parse()?)?,
                None => agent,
            };
            add(context, agent)
        }
        Command::Ls { org, list: args } => {
            let org = org.org.as_deref().map(str::parse).transpose()?;
            list(context, org.as_ref(), &args)
        }
        Command::Get { name, org } => get(context, &of(&org)?, &name.parse()?),
        Command::Members { name, org, add, remove, list: args } => {
            let agent = (of(&org)?, name.parse()?);
            let (add, remove) = (members(&add)?, members(&remove)?);
            if let Some(both) = add.iter().find(|member| remove.contains(member)) {
                let (platform, user) = (&both.platform, &both.user);
                let what = format!("{platform}/{user} cannot be both added and removed");
                return Err(Error::Usage(what));
            }
            change_members(context, agent, (add, remove), &args)
        }
    }
}

/// The organisation that is named, or that of this machine.
pub(super) fn of(args: &OrgArg) -> Result<OrgId> {
    Ok(args.org.as_deref().map(str::parse).transpose()?.unwrap_or_else(org::local))
}

fn add(context: &Context, new: Agent) -> Result<()> {
    let added = context.open()?.write(cause(), move |tx| {
        ensure_org(tx, &new.org)?;
        agent::add(tx, &new)?;
        Ok((agent::require(tx, &new.org, &new.id)?, agent::members(tx, &new.org, &new.id)?))
    })?;
    let (added, members) = added.value;
    if context.is_json {
        return output::document("agent.add", &document::agent_with(&added, &members));
    }
    context.say(&format!("added agent {} to organisation {}", added.id, added.org));
    output::line(added.id.as_str())
}

fn list(context: &Context, org: Option<&OrgId>, args: &ListArgs) -> Result<()> {
    let agents = context.open()?.read(|snapshot| {
        if let Some(org) = org {
            org::require(snapshot, org)?;
        }
        agent::list(snapshot, org)
    })?;
    type Of = Column<'static, Agent>;
    Listing {
        kind: "agent.list",
        columns: vec![
            Of::new("id", |agent| Cell::text(agent.id.as_str())),
            Of::new("org", |agent| Cell::text(agent.org.as_str())),
            Of::text("account", |agent| agent.account.clone()).rank(1),
            Of::new("session", |agent| {
                agent.session.as_ref().map_or(Cell::absent(), |id| Cell::text(id.as_str()))
            })
            .rank(2),
            Of::new("created", |agent| Cell::age(agent.created_at)).rank(3),
        ],
        id: &|agent: &Agent| agent.id.to_string(),
        document: &document::agent,
        empty: "no agents; add one: `ao-store agent add NAME`",
    }
    .print(context, args, agents)
}

fn get(context: &Context, org: &OrgId, id: &AgentId) -> Result<()> {
    let (agent, members) = context.open()?.read(|snapshot| {
        Ok((agent::require(snapshot, org, id)?, agent::members(snapshot, org, id)?))
    })?;
    if context.is_json {
        return output::document("agent.get", &document::agent_with(&agent, &members));
    }
    let mut text = view::fields(&document::agent(&agent));
    for member in &members {
        text += &format!("{:<20}{}/{}\n", "member", member.platform, member.user);
    }
    output::text(&text)
}

/// `PLATFORM/USER`; a user may have a slash in its name.
fn members(texts: &[String]) -> Result<Vec<Member>> {
    let member = |text: &String| {
        let parts = text.split_once('/').ok_or_else(|| {
            Error::Usage(format!("{text:?} is no member: write PLATFORM/USER, such as local/1000"))
        })?;
        Ok(Member::new(parts.0, parts.1)?)
    };
    texts.iter().map(member).collect()
}

fn change_members(
    context: &Context,
    (org, id): (OrgId, AgentId),
    (add, remove): (Vec<Member>, Vec<Member>),
    args: &ListArgs,
) -> Result<()> {
    let store = context.open()?;
    let members = if add.is_empty() && remove.is_empty() {
        store.read(|snapshot| {
            agent::require(snapshot, &org, &id)?;
            agent::members(snapshot, &org, &id)
        })?
    } else {
        let changed = store.write(cause(), move |tx| {
            for member in &add {
                agent::add_member(tx, &org, &id, member)?;
            }
            for member in &remove {
                agent::remove_member(tx, &org, &id, member)?;
            }
            agent::members(tx, &org, &id)
        })?;
        changed.value
    };
    type Of = Column<'static, Member>;
    Listing {
        kind: "member.list",
        columns: vec![
            Of::new("platform", |member| Cell::text(member.platform.as_str())),
            Of::new("user", |member| Cell::text(member.user.as_str())),
        ],
        id: &|member: &Member| format!("{}/{}", member.platform, member.user),
        document: &document::member,
        empty: "no members; add one: `ao-store agent members NAME --add PLATFORM/USER`",
    }
    .print(context, args, members)
}
